// What the previous layer's choice says about this one: naive Bayes with the recent past as prior.
// The log-odds of an expert are those of its recent rate, plus ln(P(e | a) / P(e)) for every expert
// a that the token chose one layer before, the latter with a learned weight, since the a's are not
// independent. Farther ahead, the table is applied to what it says of the layers between.
#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/call_sample.h"
#include "cache/prefetch/choice_rates.h"
#include "cache/prefetch/delayed_logistic.h"
#include "cache/prefetch/predictor_table.h"
#include "cache/prefetch/transition_table.h"

namespace sluice {
namespace {

// What a token counts against one a token younger: about this text, and about the layer.
constexpr float kRecent = 0.9F;
constexpr float kLong = 0.998F;
// Added to rates, whose logarithm is taken: about what one old choice leaves in them.
constexpr float kRecentFloor = 0.02F;
constexpr float kLongFloor = 0.002F;
// bias, recent rate, long rate, lift
constexpr std::array<float, 4> kInitial = {0, 0.5F, 0.5F, 0.7F};

class AffinityPredictor final : public Predictor {
 public:
  explicit AffinityPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        experts_(static_cast<size_t>(setup.shape.experts)),
        top_k_(static_cast<size_t>(setup.top_k)),
        prefetch_(*setup.prefetch),
        given_(PredictorTable::Read(setup.table, setup.shape)),
        recent_(setup.shape, setup.top_k, kRecent),
        long_(setup.shape, setup.top_k, kLong),
        table_(setup.shape),
        previous_(setup.top_k),
        base_(experts_),
        step_(experts_),
        order_(experts_),
        logistic_(setup.shape, kInitial) {
    given_.Fill(&table_);
  }

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    if (prefetch_.learn == Learn::kOnline) {
      const int32_t samples = SampledTokens(call);
      for (int32_t i = 0; i < samples; ++i) {
        table_.Count(call.layer, previous_.Choice(i, samples), SampledChoice(call, i));
      }
    }
    recent_.Observe(call);
    long_.Observe(call);
    previous_.Remember(call);
  }

  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const std::span<float> features = logistic_.Features(layer, distance);
    const std::span<float> lift = features.subspan(3 * experts_);
    if (distance == 1) {
      NextLift(call, layer, lift);
    } else {
      FarLift(call, layer, distance, lift);
    }
    std::ranges::fill(features.first(experts_), 1.0F);
    Map(recent_.Of(layer), features.subspan(experts_, experts_),
        [](Float4 rate) { return Log(rate + kRecentFloor); });
    Map(base_, features.subspan(2 * experts_, experts_), [](Float4 base) { return Log(base); });
    logistic_.Score(layer, distance, probability);
    // Alone, it is MoE-PolicyLang's strategy, which has a threshold; a blend has another.
    if (prefetch_.strategies.size() != 1) return;
    const auto least = static_cast<float>(prefetch_.affinity_threshold);
    for (float& p : probability) p = p < least ? 0 : p;
  }

  void Reset() override {
    recent_.Reset();
    long_.Reset();
    table_.Reset();
    given_.Fill(&table_);
    previous_.Reset();
    logistic_.Reset();
  }

 private:
  void SetBase(int32_t layer) {
    const std::span<const float> average = long_.Of(layer);
    for (size_t e = 0; e < experts_; ++e) base_[e] = average[e] + kLongFloor;
  }
  void NextLift(const LayerCall& call, int32_t layer, std::span<float> lift) {
    SetBase(layer);
    std::ranges::fill(lift, 0.0F);
    const int32_t samples = SampledTokens(call);
    for (int32_t i = 0; i < samples; ++i) {
      table_.AddLogLift(layer, SampledChoice(call, i), base_, lift);
    }
    const float each = 1 / static_cast<float>(samples);
    for (float& value : lift) value *= each;
  }
  // The mean of P(e | a) over what was chosen now is how likely e is one layer on; the likeliest of
  // those stand for the choice there; and so on.
  void FarLift(const LayerCall& call, int32_t layer, int32_t distance, std::span<float> lift) {
    const int32_t samples = SampledTokens(call);
    for (int32_t d = 1; d <= distance; ++d) {
      const int32_t at = (layer - distance + d + 2 * shape_.layers) % shape_.layers;
      SetBase(at);
      std::ranges::fill(lift, 0.0F);
      if (d == 1) {
        const float each = 1 / static_cast<float>(samples * call.top_k);
        for (int32_t i = 0; i < samples; ++i) {
          for (const int32_t a : SampledChoice(call, i)) {
            table_.AddConditional(at, a, each, base_, lift);
          }
        }
      } else {
        const size_t likeliest = std::min(experts_, 2 * top_k_);
        std::iota(order_.begin(), order_.end(), 0);
        std::ranges::partial_sort(order_, order_.begin() + static_cast<std::ptrdiff_t>(likeliest),
                                  [&](int32_t a, int32_t b) {
                                    return step_[a] != step_[b] ? step_[a] > step_[b] : a < b;
                                  });
        float whole = 0;
        for (size_t i = 0; i < likeliest; ++i) whole += step_[order_[i]];
        for (size_t i = 0; i < likeliest; ++i) {
          table_.AddConditional(at, order_[i], step_[order_[i]] / whole, base_, lift);
        }
      }
      std::ranges::copy(lift, step_.begin());
    }
    const auto weight = static_cast<float>(top_k_);
    for (size_t e = 0; e < experts_; ++e) lift[e] = step_[e] / base_[e];
    Map(lift, lift, [weight](Float4 ratio) { return weight * Log(ratio); });
  }

  const CacheShape shape_;
  const size_t experts_;
  const size_t top_k_;
  const PrefetchSpec& prefetch_;
  const PredictorTable given_;
  ChoiceRates recent_, long_;
  TransitionTable table_;
  PreviousCall previous_;
  std::vector<float> base_;     // of the layer in question: how likely on average
  std::vector<float> step_;     // of a layer between
  std::vector<int32_t> order_;  // experts, likeliest first
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewAffinityPredictor(const PredictorSetup& setup) {
  return std::make_unique<AffinityPredictor>(setup);
}

}  // namespace sluice
