#include "cache/eviction.h"

namespace sluice {

#define SLUICE_EVICTION(name, factory) \
  std::unique_ptr<EvictionRule> factory(const RuleSetup& setup);
#include "cache/eviction/builtins.inc"
#undef SLUICE_EVICTION

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<EvictionRule> (*create)(const RuleSetup& setup);
};
constexpr Entry kRules[] = {
#define SLUICE_EVICTION(name, factory) {#name, factory},
#include "cache/eviction/builtins.inc"
#undef SLUICE_EVICTION
};

}  // namespace

std::unique_ptr<EvictionRule> NewEvictionRule(std::string_view name, const RuleSetup& setup) {
  for (const Entry& entry : kRules) {
    if (entry.name == name) return entry.create(setup);
  }
  return nullptr;
}

std::vector<std::string_view> EvictionRuleNames() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kRules) names.push_back(entry.name);
  return names;
}

}  // namespace sluice
