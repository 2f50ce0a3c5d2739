// Keeps what earlier moments needed next whose routing resembles the present (similarity_memory.h),
// weighed with how popular an expert is and how long it has not been used. Nothing is learned, no
// table is kept.
#include <algorithm>
#include <cmath>
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/decayed_counts.h"
#include "cache/eviction/rule_support.h"
#include "cache/eviction/similarity_memory.h"

namespace sluice {
namespace {

constexpr double kPopularityDecay = 0.995;
constexpr double kPopularityFloor = 0.003;

class Memory final : public EvictionRule {
 public:
  explicit Memory(const RuleSetup& setup)
      : shape_(setup.shape),
        memory_(setup.shape, setup.top_k, {}),
        popularity_(setup),
        last_use_(setup.shape),
        ages_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    memory_.Observe(call);
    layer_ = call.layer;
    const ExpertKey first = FirstKey(shape_, call.layer);
    popularity_.Observe(call, kPopularityDecay, {1, SpanUnit::kTokens},
                        [&](int32_t expert, int32_t, int32_t) {
                          popularity_.Add(first + expert, 1 - kPopularityDecay);
                        });
    last_use_.Observe(call);
    ages_.Observe(call);
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override { popularity_.OnInsert(key); }
  void OnRemove(ExpertKey key) override { popularity_.OnRemove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    const std::span<const float> recall = memory_.Recall();
    const ExpertKey first = FirstKey(shape_, layer_);
    return Lowest(candidates, last_use_, [&](ExpertKey key) {
      // e^(4 ln(recall + .02) + ln(popularity + .003) - 1.5 ln(1 + age)), which orders as its
      // exponent does. Other layers' experts (where layers share slots) have no recall.
      const ExpertKey expert = key - first;
      const bool here = expert >= 0 && expert < shape_.experts;
      const double recalled = kRecallFloor + (here ? recall[static_cast<size_t>(expert)] : 0.0F);
      const double squared = recalled * recalled;
      const auto age = static_cast<double>(1 + std::min<int64_t>(Ages::kNever, ages_.Age(key)));
      return squared * squared * (popularity_.Count(key) + kPopularityFloor) /
             (age * std::sqrt(age));
    });
  }
  void Reset() override {
    memory_.Reset();
    popularity_.Reset();
    last_use_.Reset();
    ages_.Reset();
  }

 private:
  const CacheShape shape_;
  SimilarityMemory memory_;
  DecayedCounts popularity_;
  LastUse last_use_;
  Ages ages_;
  int32_t layer_ = 0;  // called last
};

}  // namespace

std::unique_ptr<EvictionRule> NewMemory(const RuleSetup& setup) {
  return std::make_unique<Memory>(setup);
}

}  // namespace sluice
