// Fields of the JSON objects that say what a trace is: meta lines, headers, the `meta` of a .npz.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/status.h"

namespace sluice {

Result<nlohmann::json> ParseJson(std::string_view text);

// The field's value, or why there is none.
Result<int64_t> IntegerField(const nlohmann::json& object, const char* key);
// Non-negative, all 64 bits.
Result<uint64_t> UnsignedField(const nlohmann::json& object, const char* key);
// `null` is a NaN.
Result<double> NumberField(const nlohmann::json& object, const char* key);
Result<std::string> TextField(const nlohmann::json& object, const char* key);

// "" if there is none.
std::string TextFieldOrEmpty(const nlohmann::json& object, const char* key);

}  // namespace sluice
