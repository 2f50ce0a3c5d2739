// What a model file says beside its tensors: a flat map of typed values.
//
// GGUF metadata is that already. A Hugging Face config.json is flattened: nested keys are joined by
// '.', arrays of objects are left out, null is absent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sluice/status.h"

namespace sluice {

using MetadataValue =
    std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<int64_t>,
                 std::vector<double>, std::vector<std::string>>;

// Getters fail with kNotFound where a key is missing and kCorrupt where its value has another type
// or does not fit; the message names file and key. *Or getters take a default for missing keys
// only.
class Metadata {
 public:
  explicit Metadata(std::string source) : source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  const std::map<std::string, MetadataValue, std::less<>>& values() const { return values_; }

  // False if the key is there already.
  bool Insert(std::string key, MetadataValue value) {
    return values_.emplace(std::move(key), std::move(value)).second;
  }
  bool Has(std::string_view key) const { return values_.find(key) != values_.end(); }

  Result<int64_t> Int(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> IntOr(std::string_view key, int64_t min, int64_t max, int64_t otherwise) const;
  Result<double> Float(std::string_view key) const;
  Result<double> FloatOr(std::string_view key, double otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  Result<std::string> String(std::string_view key) const;
  Result<std::string> StringOr(std::string_view key, std::string otherwise) const;
  // Null where the key is missing.
  Result<const std::vector<int64_t>*> Ints(std::string_view key) const;
  Result<const std::vector<double>*> Floats(std::string_view key) const;
  Result<const std::vector<std::string>*> Strings(std::string_view key) const;

 private:
  Status Missing(std::string_view key) const;
  Status WrongType(std::string_view key, const char* wanted) const;

  std::string source_;
  std::map<std::string, MetadataValue, std::less<>> values_;
};

// Flattens a JSON object; `source` names it in messages. Fails on anything that is not an object
// and on nesting deeper than 32.
Result<Metadata> MetadataFromJson(std::string_view json, std::string source);

}  // namespace sluice
