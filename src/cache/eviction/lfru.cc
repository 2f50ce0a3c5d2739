// Least frequently and recently used: the lowest (count + 0.3) / (1 + age)^(1/4), where the count
// decays as in lfu and the age is in tokens since the last use. The 0.3 lets age order those whose
// count is nearly gone.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/decayed_counts.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Lfru final : public EvictionRule {
 public:
  explicit Lfru(const RuleSetup& setup)
      : shape_(setup.shape),
        cache_(setup.cache),
        counts_(setup),
        last_use_(setup.shape),
        ages_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    counts_.Observe(call, cache_->frequency_decay, cache_->decay_every,
                    [&](int32_t expert, int32_t, int32_t) { counts_.Add(first + expert, 1); });
    last_use_.Observe(call);
    ages_.Observe(call);
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override { counts_.OnInsert(key); }
  void OnRemove(ExpertKey key) override { counts_.OnRemove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return Lowest(candidates, last_use_, [&](ExpertKey key) {
      // The fourth power of the score, which orders alike.
      const double count = counts_.Count(key) + 0.3;
      return count * count * (count * count) / static_cast<double>(1 + ages_.Age(key));
    });
  }
  void Reset() override {
    counts_.Reset();
    last_use_.Reset();
    ages_.Reset();
  }

 private:
  const CacheShape shape_;
  const CacheSpec* const cache_;
  DecayedCounts counts_;
  LastUse last_use_;
  Ages ages_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewLfru(const RuleSetup& setup) {
  return std::make_unique<Lfru>(setup);
}

}  // namespace sluice
