#include "cache/eviction.h"

namespace sluice {

#define SLUICE_EVICTION(name, factory) std::unique_ptr<EvictionPolicy> factory(CacheShape shape);
#include "cache/eviction/builtins.inc"
#undef SLUICE_EVICTION

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<EvictionPolicy> (*create)(CacheShape shape);
};
constexpr Entry kPolicies[] = {
#define SLUICE_EVICTION(name, factory) {#name, factory},
#include "cache/eviction/builtins.inc"
#undef SLUICE_EVICTION
};

}  // namespace

std::unique_ptr<EvictionPolicy> NewEvictionPolicy(std::string_view name, CacheShape shape) {
  for (const Entry& entry : kPolicies) {
    if (entry.name == name) return entry.create(shape);
  }
  return nullptr;
}

std::vector<std::string_view> EvictionPolicyNames() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kPolicies) names.push_back(entry.name);
  return names;
}

}  // namespace sluice
