// Typed look-ups that fail with a sentence.
#include "routing/json_fields.h"

#include <fmt/format.h>

#include <limits>

namespace sluice {

using nlohmann::json;

namespace {

Result<const json*> Field(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return CorruptError(fmt::format("the key '{}' is missing", key));
  return &*found;
}

}  // namespace

Result<json> ParseJson(std::string_view text) {
  json parsed = json::parse(text.begin(), text.end(), nullptr, false);
  if (parsed.is_discarded()) return CorruptError("no JSON");
  return parsed;
}

Result<int64_t> IntegerField(const json& object, const char* key) {
  SLUICE_TRY_ASSIGN(const json* const field, Field(object, key));
  // An unsigned number that does not fit becomes negative: so far no key may be.
  if (!field->is_number_integer() || field->get<int64_t>() < 0) {
    return CorruptError(fmt::format("'{}' is not a whole number from 0 on", key));
  }
  return field->get<int64_t>();
}

Result<uint64_t> UnsignedField(const json& object, const char* key) {
  SLUICE_TRY_ASSIGN(const json* const field, Field(object, key));
  if (!field->is_number_unsigned()) {
    return CorruptError(fmt::format("'{}' is not a whole number from 0 on", key));
  }
  return field->get<uint64_t>();
}

Result<double> NumberField(const json& object, const char* key) {
  SLUICE_TRY_ASSIGN(const json* const field, Field(object, key));
  if (field->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!field->is_number()) return CorruptError(fmt::format("'{}' is not a number", key));
  return field->get<double>();
}

Result<std::string> TextField(const json& object, const char* key) {
  SLUICE_TRY_ASSIGN(const json* const field, Field(object, key));
  if (!field->is_string()) return CorruptError(fmt::format("'{}' is not a string", key));
  return field->get<std::string>();
}

std::string TextFieldOrEmpty(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace sluice
