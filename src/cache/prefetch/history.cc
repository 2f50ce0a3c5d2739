// An expert's own past: how likely it is to be chosen from how often it was chosen of late. Three
// moving averages (the slowest as long as history_window), and the tokens since its last use.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/choice_rates.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

constexpr float kFast = 0.7F;
constexpr float kMiddle = 0.9F;
// Added to a rate before its logarithm is taken: about what one old choice leaves in it.
constexpr float kFastFloor = 0.06F;
constexpr float kMiddleFloor = 0.02F;
constexpr float kSlowFloor = 0.005F;
constexpr uint32_t kOldest = 1000;  // tokens
// bias, three averages, age
constexpr std::array<float, 5> kInitial = {0, 0.3F, 0.4F, 0.3F, 0};

class HistoryPredictor final : public Predictor {
 public:
  explicit HistoryPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        fast_(setup.shape, setup.top_k, kFast),
        middle_(setup.shape, setup.top_k, kMiddle),
        slow_(setup.shape, setup.top_k,
              1 - 1 / static_cast<float>(std::max<int64_t>(2, setup.prefetch->history_window))),
        last_use_(setup.shape.size()),
        tokens_(static_cast<size_t>(setup.shape.layers), kOldest),
        logistic_(setup.shape, kInitial) {}

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    fast_.Observe(call);
    middle_.Observe(call);
    slow_.Observe(call);
    tokens_[static_cast<size_t>(call.layer)] += static_cast<uint32_t>(call.tokens);
    for (const Demand& demand : call.demands) {
      last_use_[shape_.Index({.layer = call.layer, .expert = demand.expert})] =
          tokens_[static_cast<size_t>(call.layer)];
    }
  }

  void Predict(const LayerCall& /*call*/, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const auto experts = static_cast<size_t>(shape_.experts);
    const std::span<float> features = logistic_.Features(layer, distance);
    std::ranges::fill(features.first(experts), 1.0F);
    Map(fast_.Of(layer), features.subspan(experts, experts),
        [](Float4 rate) { return Log(rate + kFastFloor); });
    Map(middle_.Of(layer), features.subspan(2 * experts, experts),
        [](Float4 rate) { return Log(rate + kMiddleFloor); });
    Map(slow_.Of(layer), features.subspan(3 * experts, experts),
        [](Float4 rate) { return Log(rate + kSlowFloor); });
    const std::span<float> age = features.subspan(4 * experts, experts);
    const uint32_t* const last = &last_use_[shape_.Index({.layer = layer})];
    const uint32_t now = tokens_[static_cast<size_t>(layer)];
    for (size_t e = 0; e < experts; ++e) {
      age[e] = static_cast<float>(static_cast<int32_t>(std::min(kOldest, now - last[e])));
    }
    Map(age, age, [](Float4 tokens) { return 0.5F * Log(tokens + 1.0F) - 1.0F; });
    logistic_.Score(layer, distance, probability);
  }

  void Reset() override {
    fast_.Reset();
    middle_.Reset();
    slow_.Reset();
    last_use_.assign(last_use_.size(), 0);
    tokens_.assign(tokens_.size(), kOldest);
    logistic_.Reset();
  }

 private:
  const CacheShape shape_;
  ChoiceRates fast_, middle_, slow_;
  std::vector<uint32_t> last_use_;  // by key, in tokens_ of the layer
  std::vector<uint32_t> tokens_;    // by layer
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewHistoryPredictor(const PredictorSetup& setup) {
  return std::make_unique<HistoryPredictor>(setup);
}

}  // namespace sluice
