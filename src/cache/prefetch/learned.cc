// What the layers before say about this one, learned as it happens: a logistic regression whose
// features are an expert's own rates and one table per earlier layer, W[a][e] = what the choice of
// `a` there adds to the log-odds of `e` here. The tables follow the same gradient as the weights,
// so unlike `affinity` (which multiplies likelihoods as if the a's knew nothing of each other) they
// learn what is left to say.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/call_sample.h"
#include "cache/prefetch/choice_rates.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

// Tables look back this many calls; a fourth gains a tenth of what the third did.
constexpr size_t kReach = 3;
// For all tables together. 512 experts in 48 layers have room for one.
constexpr size_t kTableBytes = size_t{48} << 20;
// How far a row moves along the gradient at first, and after how many moves by less (the root).
constexpr float kRate = 0.3F;
constexpr float kMoves = 10;

constexpr std::array<float, 3> kDecay = {0.7F, 0.9F, 0.995F};
// Added to a rate before its logarithm is taken: about what one old choice leaves in it.
constexpr std::array<float, 3> kFloor = {0.06F, 0.02F, 0.003F};
// bias; rates; tables
constexpr std::array<float, 1 + 3 + kReach> kInitial = {0, 0.3F, 0.3F, 0.3F, 1, 1, 1};

class LearnedPredictor final : public Predictor {
 public:
  explicit LearnedPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        experts_(static_cast<size_t>(setup.shape.experts)),
        calls_(kReach, PreviousCall(setup.top_k)),
        logistic_(setup.shape, kInitial) {
    for (const float decay : kDecay) rates_.emplace_back(setup.shape, setup.top_k, decay);
    const size_t floats = shape_.size() * experts_;
    tables_.resize(std::clamp<size_t>(kTableBytes / (floats * sizeof(float)), 1, kReach));
    for (Table& table : tables_) {
      table.weights.resize(floats);
      table.moves.resize(shape_.size());
    }
  }

  void Observe(const LayerCall& call) override {
    if (logistic_.Observe(call)) {
      for (size_t reach = 1; reach <= tables_.size(); ++reach) Learn(call, reach);
    }
    for (ChoiceRates& rates : rates_) rates.Observe(call);
    newest_ = (newest_ + 1) % kReach;
    calls_[newest_].Remember(call);
  }

  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const std::span<float> features = logistic_.Features(layer, distance);
    std::ranges::fill(features.first(experts_), 1.0F);
    for (size_t i = 0; i < rates_.size(); ++i) {
      Map(rates_[i].Of(layer), features.subspan((1 + i) * experts_, experts_),
          [floor = kFloor[i]](Float4 rate) { return 1.0F + 0.5F * Log(rate + floor); });
    }
    const std::span<float> sums = features.subspan((1 + rates_.size()) * experts_);
    std::ranges::fill(sums, 0.0F);
    const int32_t samples = SampledTokens(call);
    for (size_t reach = static_cast<size_t>(distance); reach <= tables_.size(); ++reach) {
      float* const sum = &sums[(reach - 1) * experts_];
      const float each = 1 / static_cast<float>(samples);
      for (int32_t i = 0; i < samples; ++i) {
        // Nothing is known of the calls between this one and the one asked for.
        for (const int32_t a : Back(reach - static_cast<size_t>(distance)).Choice(i, samples)) {
          const float* const row = &tables_[reach - 1].weights[Row(layer, a) * experts_];
          for (size_t e = 0; e < experts_; ++e) sum[e] += each * row[e];
        }
      }
    }
    logistic_.Score(layer, distance, probability);
  }

  void Reset() override {
    for (ChoiceRates& rates : rates_) rates.Reset();
    for (Table& table : tables_) {
      std::ranges::fill(table.weights, 0.0F);
      std::ranges::fill(table.moves, 0U);
    }
    for (PreviousCall& call : calls_) call.Reset();
    logistic_.Reset();
  }

 private:
  struct Table {
    std::vector<float> weights;   // [layers, experts (a, earlier), experts (e)]
    std::vector<uint32_t> moves;  // [layers, experts (a)]: how often the row has moved
  };

  size_t Row(int32_t layer, int32_t expert) const {
    return shape_.Index({.layer = layer, .expert = expert});
  }
  // The call `back` calls before the last one observed.
  const PreviousCall& Back(size_t back) const {
    return calls_[(newest_ + 2 * kReach - back) % kReach];
  }
  void Learn(const LayerCall& call, size_t reach) {
    Table& table = tables_[reach - 1];
    const std::span<const float> residual = logistic_.residuals();
    const int32_t samples = SampledTokens(call);
    for (int32_t i = 0; i < samples; ++i) {
      for (const int32_t a : Back(reach - 1).Choice(i, samples)) {
        const size_t row = Row(call.layer, a);
        const float rate = kRate / static_cast<float>(samples) /
                           std::sqrt(1 + static_cast<float>(table.moves[row]) / kMoves);
        ++table.moves[row];
        float* const weights = &table.weights[row * experts_];
        for (size_t e = 0; e < experts_; ++e) weights[e] += rate * residual[e];
      }
    }
  }

  const CacheShape shape_;
  const size_t experts_;
  std::vector<ChoiceRates> rates_;
  std::vector<Table> tables_;        // [reach - 1]
  std::vector<PreviousCall> calls_;  // the last kReach, as a ring
  size_t newest_ = 0;
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewLearnedPredictor(const PredictorSetup& setup) {
  return std::make_unique<LearnedPredictor>(setup);
}

}  // namespace sluice
