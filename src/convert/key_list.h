// The keys of a GGUF file before it is written: what model_keys.h and tokenizer_keys.h say.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "checkpoint/gguf_writer.h"
#include "checkpoint/metadata.h"

namespace sluice {

class KeyList {
 public:
  using Value = std::variant<uint32_t, float, bool, std::string, std::vector<std::string>,
                             std::vector<int32_t>, std::vector<float>>;

  void Add(std::string key, Value value) { keys_.emplace_back(std::move(key), std::move(value)); }
  // REQUIRES: 0 <= value < 2^32.
  void AddCount(std::string key, int64_t value);

  void WriteTo(GgufWriter* out) const;
  // As a reader of the file will see them; `source` names it in messages.
  Metadata AsMetadata(std::string source) const;

 private:
  std::vector<std::pair<std::string, Value>> keys_;
};

}  // namespace sluice
