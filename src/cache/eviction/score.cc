// The router's own opinion: every expert has a moving average of the weight that the router gave
// it, nothing where it was not chosen; the lowest leaves (the MRS rule of HybriMoE, S. Zhong et
// al., 2025). `score_top` leaves out the lower ranks. A trace without weights counts 1 per choice.
#include <algorithm>
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/decayed_counts.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

// What remains per token at score_ema_alpha = 1, instead of nothing: ties are then ordered by what
// came before.
constexpr double kLeastDecay = 0x1p-40;

class Score final : public EvictionRule {
 public:
  explicit Score(const RuleSetup& setup)
      : shape_(setup.shape), cache_(setup.cache), scores_(setup), last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    const double alpha = cache_->score_ema_alpha;
    const int32_t ranks = cache_->score_top == 0 ? call.top_k : cache_->score_top;
    const auto add = [&](int32_t expert, int32_t rank, int32_t row) {
      if (rank >= ranks) return;
      const size_t at =
          static_cast<size_t>(row) * static_cast<size_t>(call.top_k) + static_cast<size_t>(rank);
      const double weight = call.weights.empty() ? 1.0 : static_cast<double>(call.weights[at]);
      scores_.Add(first + expert, alpha * weight);
    };
    scores_.Observe(call, std::max(1 - alpha, kLeastDecay), {1, SpanUnit::kTokens}, add);
    last_use_.Observe(call);
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override { scores_.OnInsert(key); }
  void OnRemove(ExpertKey key) override { scores_.OnRemove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return Lowest(candidates, last_use_, [&](ExpertKey key) { return scores_.Scaled(key); });
  }
  void Reset() override {
    scores_.Reset();
    last_use_.Reset();
  }

 private:
  const CacheShape shape_;
  const CacheSpec* const cache_;
  DecayedCounts scores_;
  LastUse last_use_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewScore(const RuleSetup& setup) {
  return std::make_unique<Score>(setup);
}

}  // namespace sluice
