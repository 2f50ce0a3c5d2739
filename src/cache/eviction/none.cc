// Nobody leaves by a rule: what is resident at the start stays. Where a slot must be freed all the
// same (fewer slots, memory pressure), the last expert of the last layer goes.
#include <algorithm>
#include <memory>

#include "cache/eviction.h"

namespace sluice {
namespace {

class None final : public EvictionRule {
 public:
  void Observe(const LayerCall& /*call*/) override {}
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return *std::ranges::max_element(candidates);
  }
};

}  // namespace

std::unique_ptr<EvictionRule> NewNone(const RuleSetup& /*setup*/) {
  return std::make_unique<None>();
}

}  // namespace sluice
