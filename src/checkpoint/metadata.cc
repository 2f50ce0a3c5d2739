#include "checkpoint/metadata.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

// Arrays of one scalar type become vectors; other arrays are of no use to a flat map.
std::optional<MetadataValue> ArrayValue(const Json& array) {
  const auto all = [&](auto predicate) {
    for (const Json& item : array) {
      if (!predicate(item)) return false;
    }
    return true;
  };
  if (all([](const Json& item) { return item.is_number_integer(); })) {
    return array.get<std::vector<int64_t>>();
  }
  if (all([](const Json& item) { return item.is_number(); })) {
    return array.get<std::vector<double>>();
  }
  if (all([](const Json& item) { return item.is_string(); })) {
    return array.get<std::vector<std::string>>();
  }
  return std::nullopt;
}

std::optional<MetadataValue> ScalarValue(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) return ArrayValue(value);
  return std::nullopt;  // null
}

void Flatten(const Json& object, const std::string& prefix, Metadata* out) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      Flatten(value, prefix + key + ".", out);
    } else if (auto scalar = ScalarValue(value)) {
      out->Insert(prefix + key, *std::move(scalar));
    }
  }
}

}  // namespace

Status Metadata::Missing(std::string_view key) const {
  return NotFoundError(fmt::format("{}: '{}' is missing", source_, key));
}

Status Metadata::WrongType(std::string_view key, const char* wanted) const {
  return CorruptError(fmt::format("{}: '{}' is not {}", source_, key, wanted));
}

Result<int64_t> Metadata::Int(std::string_view key, int64_t min, int64_t max) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return Missing(key);
  int64_t value = 0;
  if (const auto* u = std::get_if<uint64_t>(&found->second)) {
    value = *u > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(*u);
  } else if (const auto* i = std::get_if<int64_t>(&found->second)) {
    value = *i;
  } else {
    return WrongType(key, "an integer");
  }
  if (value < min || value > max) {
    return CorruptError(
        fmt::format("{}: '{}' is {}, outside {}..{}", source_, key, value, min, max));
  }
  return value;
}

Result<int64_t> Metadata::IntOr(std::string_view key, int64_t min, int64_t max,
                                int64_t otherwise) const {
  if (!Has(key)) return otherwise;
  return Int(key, min, max);
}

Result<double> Metadata::Float(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return Missing(key);
  if (const auto* d = std::get_if<double>(&found->second)) return *d;
  if (const auto* u = std::get_if<uint64_t>(&found->second)) return static_cast<double>(*u);
  if (const auto* i = std::get_if<int64_t>(&found->second)) return static_cast<double>(*i);
  return WrongType(key, "a number");
}

Result<double> Metadata::FloatOr(std::string_view key, double otherwise) const {
  if (!Has(key)) return otherwise;
  return Float(key);
}

Result<bool> Metadata::BoolOr(std::string_view key, bool otherwise) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return otherwise;
  if (const auto* b = std::get_if<bool>(&found->second)) return *b;
  return WrongType(key, "true or false");
}

Result<std::string> Metadata::String(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return Missing(key);
  if (const auto* s = std::get_if<std::string>(&found->second)) return *s;
  return WrongType(key, "a string");
}

Result<std::string> Metadata::StringOr(std::string_view key, std::string otherwise) const {
  if (!Has(key)) return otherwise;
  return String(key);
}

Result<const std::vector<int64_t>*> Metadata::Ints(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (const auto* v = std::get_if<std::vector<int64_t>>(&found->second)) return v;
  return WrongType(key, "an array of integers");
}

Result<const std::vector<double>*> Metadata::Floats(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (const auto* v = std::get_if<std::vector<double>>(&found->second)) return v;
  return WrongType(key, "an array of numbers");
}

Result<const std::vector<std::string>*> Metadata::Strings(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (const auto* v = std::get_if<std::vector<std::string>>(&found->second)) return v;
  return WrongType(key, "an array of strings");
}

Result<Metadata> MetadataFromJson(std::string_view json, std::string source) {
  constexpr int kMaxDepth = 32;
  bool too_deep = false;
  const Json::parser_callback_t depth_limit = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) too_deep = true;
    return depth <= kMaxDepth;
  };
  const Json parsed = Json::parse(json, depth_limit, /*allow_exceptions=*/false);
  if (parsed.is_discarded() || too_deep || !parsed.is_object()) {
    return CorruptError(fmt::format("{}: not a JSON object", source));
  }
  Metadata metadata(std::move(source));
  Flatten(parsed, "", &metadata);
  return metadata;
}

}  // namespace sluice
