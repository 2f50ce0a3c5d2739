// What similar moments chose: the tokens of the past whose routing resembles this token's so far
// (cache/prefetch/similar_tokens.h) vote with what they chose in the layer asked for; in the next
// step, with what the tokens after them chose.
#include <algorithm>
#include <array>
#include <memory>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/choice_rates.h"
#include "cache/prefetch/delayed_logistic.h"
#include "cache/prefetch/similar_tokens.h"

namespace sluice {
namespace {

constexpr float kRate = 0.97F;
constexpr float kFloor = 0.02F;
constexpr float kRateFloor = 0.005F;
// bias, log-odds of the vote, rate
constexpr std::array<float, 3> kInitial = {0, 0.8F, 0.2F};

class SimilarPredictor final : public Predictor {
 public:
  explicit SimilarPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        remembered_(setup.shape, setup.top_k, setup.prefetch->store),
        rates_(setup.shape, setup.top_k, kRate),
        logistic_(setup.shape, kInitial) {}

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    remembered_.Observe(call);
    rates_.Observe(call);
  }

  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const auto experts = static_cast<size_t>(shape_.experts);
    const std::span<float> features = logistic_.Features(layer, distance);
    const std::span<float> votes = features.subspan(experts, experts);
    std::ranges::fill(votes, 0.0F);
    const int32_t later = layer > call.layer ? 0 : 1;
    float weight = 0;
    for (const SimilarTokens::Similar& similar : remembered_.similar()) {
      const std::span<const uint16_t> choice = remembered_.Choice(similar.place, later, layer);
      if (choice.empty()) continue;
      weight += similar.weight;
      for (const uint16_t e : choice) votes[e] += similar.weight;
    }
    const float scale = weight > 0 ? 1 / weight : 0;
    std::ranges::fill(features.first(experts), 1.0F);
    Map(votes, votes, [scale](Float4 sum) {
      const Float4 share = Min4(Float4{1, 1, 1, 1}, sum * scale);
      return Log((share + kFloor) / (1.0F - share + kFloor));
    });
    Map(rates_.Of(layer), features.subspan(2 * experts, experts),
        [](Float4 rate) { return Log(rate + kRateFloor); });
    logistic_.Score(layer, distance, probability);
  }

  void Reset() override {
    remembered_.Reset();
    rates_.Reset();
    logistic_.Reset();
  }

 private:
  const CacheShape shape_;
  SimilarTokens remembered_;
  ChoiceRates rates_;
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewSimilarPredictor(const PredictorSetup& setup) {
  return std::make_unique<SimilarPredictor>(setup);
}

}  // namespace sluice
