// Least frequently used, with decay: every choice counts 1, every count loses a share with time.
// Ties go to the one used longest ago. `history = resident` forgets who leaves.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/decayed_counts.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Lfu final : public EvictionRule {
 public:
  explicit Lfu(const RuleSetup& setup)
      : shape_(setup.shape), cache_(setup.cache), counts_(setup), last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    counts_.Observe(call, cache_->frequency_decay, cache_->decay_every,
                    [&](int32_t expert, int32_t, int32_t) { counts_.Add(first + expert, 1); });
    last_use_.Observe(call);
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override { counts_.OnInsert(key); }
  void OnRemove(ExpertKey key) override { counts_.OnRemove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return Lowest(candidates, last_use_, [&](ExpertKey key) { return counts_.Scaled(key); });
  }
  void Reset() override {
    counts_.Reset();
    last_use_.Reset();
  }

 private:
  const CacheShape shape_;
  const CacheSpec* const cache_;
  DecayedCounts counts_;
  LastUse last_use_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewLfu(const RuleSetup& setup) {
  return std::make_unique<Lfu>(setup);
}

}  // namespace sluice
