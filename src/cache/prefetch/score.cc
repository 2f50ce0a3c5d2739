// The experts that the router of the layer ahead has rated highest of late: a moving average of its
// weights, as HybriMoE (arXiv 2504.05897) prefetches. A regression turns ratings into
// probabilities.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

constexpr float kFloor = 0.002F;
constexpr std::array<float, 2> kInitial = {1, 0.8F};  // bias, logarithm of the rating

class ScorePredictor final : public Predictor {
 public:
  explicit ScorePredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        cache_(*setup.cache),
        even_(1 / static_cast<float>(setup.shape.experts)),
        scores_(setup.shape.size(), even_),
        logistic_(setup.shape, kInitial) {}

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    const auto alpha = static_cast<float>(cache_.score_ema_alpha);
    float kept = 1;
    // Beyond 1e-3 nothing of the past is left, and a prompt need not be counted to its end.
    for (int32_t i = 0; i < call.tokens && kept > 1e-3F; ++i) kept *= 1 - alpha;
    float* const scores = &scores_[shape_.Index({.layer = call.layer})];
    for (int32_t e = 0; e < shape_.experts; ++e) scores[e] *= kept;
    const float each = (1 - kept) / static_cast<float>(call.tokens);
    for (size_t i = 0; i < call.experts.size(); ++i) {
      // Without weights all chosen experts count alike.
      const float weight =
          call.weights.empty() ? 1 / static_cast<float>(call.top_k) : call.weights[i];
      scores[call.experts[i]] += each * weight;
    }
  }
  void Predict(const LayerCall& /*call*/, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const std::span<float> features = logistic_.Features(layer, distance);
    const std::span<const float> scores =
        std::span(scores_).subspan(shape_.Index({.layer = layer}), probability.size());
    std::ranges::fill(features.first(probability.size()), 1.0F);
    Map(scores, features.subspan(probability.size()),
        [](Float4 score) { return Log(Max4(Float4{}, score) + kFloor); });
    logistic_.Score(layer, distance, probability);
  }
  void Reset() override {
    scores_.assign(scores_.size(), even_);
    logistic_.Reset();
  }

 private:
  const CacheShape shape_;
  const CacheSpec& cache_;
  const float even_;
  std::vector<float> scores_;  // by key
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewScorePredictor(const PredictorSetup& setup) {
  return std::make_unique<ScorePredictor>(setup);
}

}  // namespace sluice
