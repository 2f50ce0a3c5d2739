// Keeps what the prefetch predictor holds likely: the victim is the candidate of the least
// probability to be chosen when its layer is called next. Where nobody predicts, all are equal and
// the one used longest ago leaves.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Predicted final : public EvictionRule {
 public:
  explicit Predicted(const RuleSetup& setup)
      : likelihood_(setup.likelihood), last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override { last_use_.Observe(call); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    if (likelihood_.empty()) return last_use_.Oldest(candidates);
    return Lowest(candidates, last_use_,
                  [&](ExpertKey key) { return likelihood_[static_cast<size_t>(key)]; });
  }
  void Reset() override { last_use_.Reset(); }

 private:
  const std::span<const float> likelihood_;
  LastUse last_use_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewPredicted(const RuleSetup& setup) {
  return std::make_unique<Predicted>(setup);
}

}  // namespace sluice
