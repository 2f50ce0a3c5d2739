// A logistic regression over the log-odds that its parts give. A part that says nothing (all zero)
// counts as one that says how often an expert is chosen on average, which is no news.
#include "cache/prefetch/blend.h"

#include <algorithm>
#include <utility>

#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

std::vector<float> InitialWeights(size_t parts) {
  std::vector<float> weights(parts + 1, 1 / static_cast<float>(parts));
  weights[0] = 0;
  return weights;
}

class Blend final : public Predictor {
 public:
  Blend(std::vector<std::unique_ptr<Predictor>> parts, const PredictorSetup& setup)
      : parts_(std::move(parts)),
        experts_(static_cast<size_t>(setup.shape.experts)),
        even_(Logit(static_cast<float>(setup.top_k) / static_cast<float>(setup.shape.experts))),
        logistic_(setup.shape, InitialWeights(parts_.size())) {}

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    for (const auto& part : parts_) part->Observe(call);
  }
  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const std::span<float> features = logistic_.Features(layer, distance);
    std::ranges::fill(features.first(experts_), 1.0F);
    for (size_t i = 0; i < parts_.size(); ++i) {
      parts_[i]->Predict(call, layer, distance, probability);
      const std::span<float> feature = features.subspan((i + 1) * experts_, experts_);
      if (std::ranges::all_of(probability, [](float p) { return p == 0; })) {
        std::ranges::fill(feature, even_);
        continue;
      }
      Map(probability, feature, [](Float4 p) { return Logit(p); });
    }
    logistic_.Score(layer, distance, probability);
  }
  void Reset() override {
    logistic_.Reset();
    for (const auto& part : parts_) part->Reset();
  }

 private:
  const std::vector<std::unique_ptr<Predictor>> parts_;
  const size_t experts_;
  const float even_;
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewBlend(std::vector<std::unique_ptr<Predictor>> parts,
                                    const PredictorSetup& setup) {
  return std::make_unique<Blend>(std::move(parts), setup);
}

}  // namespace sluice
