#include "convert/key_list.h"

#include <type_traits>

#include "base/check.h"

namespace sluice {

void KeyList::AddCount(std::string key, int64_t value) {
  SLUICE_CHECK(value >= 0 && value <= int64_t{UINT32_MAX});
  Add(std::move(key), static_cast<uint32_t>(value));
}

void KeyList::WriteTo(GgufWriter* out) const {
  for (const auto& [key, value] : keys_) {
    const std::string& name = key;
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, uint32_t>) out->AddU32(name, v);
          if constexpr (std::is_same_v<T, float>) out->AddF32(name, v);
          if constexpr (std::is_same_v<T, bool>) out->AddBool(name, v);
          if constexpr (std::is_same_v<T, std::string>) out->AddString(name, v);
          if constexpr (std::is_same_v<T, std::vector<std::string>>) out->AddStrings(name, v);
          if constexpr (std::is_same_v<T, std::vector<int32_t>>) out->AddI32s(name, v);
          if constexpr (std::is_same_v<T, std::vector<float>>) out->AddF32s(name, v);
        },
        value);
  }
}

Metadata KeyList::AsMetadata(std::string source) const {
  Metadata metadata(std::move(source));
  for (const auto& [key, value] : keys_) {
    const MetadataValue read = std::visit(
        [](const auto& v) -> MetadataValue {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, uint32_t>) return uint64_t{v};
          if constexpr (std::is_same_v<T, float>) return static_cast<double>(v);
          if constexpr (std::is_same_v<T, std::vector<int32_t>>) {
            return std::vector<int64_t>(v.begin(), v.end());
          }
          if constexpr (std::is_same_v<T, std::vector<float>>) {
            return std::vector<double>(v.begin(), v.end());
          }
          if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                        std::is_same_v<T, std::vector<std::string>>) {
            return v;
          }
        },
        value);
    SLUICE_CHECK(metadata.Insert(key, read));
  }
  return metadata;
}

}  // namespace sluice
