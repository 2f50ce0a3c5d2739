// Damaged copies of model files. Which damage is a function of the seed alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "mutants/gguf_fields.h"

namespace sluice {

// A model's files in memory: name in its folder -> content. A GGUF file is one file.
struct ModelFiles {
  std::string name;  // of the checkpoint, for example "dbrx-f32.gguf"
  std::map<std::string, std::string> files;
  std::optional<GgufMap> gguf;  // of a GGUF file
};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // A copy of the files with one to three things wrong. What they are is appended to *what.
  std::map<std::string, std::string> Damage(const ModelFiles& model, std::string* what);

 private:
  uint64_t Below(uint64_t count) { return random_() % count; }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }
  template <typename T>
  const T& Any(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

  uint64_t Number(uint64_t now, size_t bytes);
  std::string Note(std::string* what, const std::string& line);

  void DamageGguf(const GgufMap& map, std::string* file, std::string* what);
  void DamageField(const GgufField& field, std::string* file, std::string* what);
  void DamageTensorHeader(const GgufMap& map, std::string* file, std::string* what);
  void DamageNumbers(size_t at, size_t bytes, std::string* file, std::string* what);
  void DamageBytes(size_t begin, size_t end, std::string* file, std::string* what);
  void Truncate(std::string* file, std::string* what);
  void DamageJson(std::string* text, std::string* what);
  void DamageSafetensors(std::string* file, std::string* what);

  std::mt19937_64 random_;
};

}  // namespace sluice
