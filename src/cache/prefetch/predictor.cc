// A model that was trained elsewhere, as a table (predictor_table.h): the log-odds of an expert are
// its bias plus what the experts chosen up to eight layers before add. Unless `learn = off`, two
// more weights are learned that stretch and shift them to fit what happens.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/call_sample.h"
#include "cache/prefetch/delayed_logistic.h"
#include "cache/prefetch/predictor_table.h"

namespace sluice {
namespace {

constexpr size_t kFarthest = 8;                    // layers back
constexpr std::array<float, 2> kInitial = {0, 1};  // bias, log-odds as given

class TablePredictor final : public Predictor {
 public:
  explicit TablePredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        prefetch_(*setup.prefetch),
        table_(PredictorTable::Read(setup.table, setup.shape)),
        rows_(setup.shape.size() * kFarthest + 1),
        biases_(setup.shape.size()),
        calls_(kFarthest, PreviousCall(setup.top_k)),
        logistic_(setup.shape, kInitial) {
    for (const PredictorTable::Bias& bias : table_.biases()) {
      biases_[shape_.Index({.layer = bias.layer, .expert = bias.expert})] = bias.log_odds;
    }
    for (const PredictorTable::Weight& weight : table_.weights()) {
      ++rows_[Row(weight.layer, static_cast<size_t>(weight.back), weight.from) + 1];
    }
    for (size_t row = 1; row < rows_.size(); ++row) rows_[row] += rows_[row - 1];
  }

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    newest_ = (newest_ + 1) % kFarthest;
    calls_[newest_].Remember(call);
  }
  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    if (table_.biases().empty() && table_.weights().empty()) {
      std::ranges::fill(probability, 0.0F);
      return;
    }
    const size_t experts = probability.size();
    const std::span<float> features = logistic_.Features(layer, distance);
    const std::span<float> log_odds = features.subspan(experts);
    std::ranges::fill(features.first(experts), 1.0F);
    std::copy_n(&biases_[shape_.Index({.layer = layer})], experts, log_odds.begin());
    const int32_t samples = SampledTokens(call);
    const float each = 1 / static_cast<float>(samples);
    for (size_t back = static_cast<size_t>(distance); back <= kFarthest; ++back) {
      const PreviousCall& then =
          calls_[(newest_ + kFarthest + static_cast<size_t>(distance) - back) % kFarthest];
      for (int32_t i = 0; i < samples; ++i) {
        for (const int32_t from : then.Choice(i, samples)) Add(layer, back, from, each, log_odds);
      }
    }
    if (prefetch_.learn == Learn::kOff) {
      Map(log_odds, probability, [](Float4 z) { return Sigmoid(z); });
      return;
    }
    logistic_.Score(layer, distance, probability);
  }
  void Reset() override {
    for (PreviousCall& call : calls_) call.Reset();
    logistic_.Reset();
  }

 private:
  size_t Row(int32_t layer, size_t back, int32_t from) const {
    return (static_cast<size_t>(layer) * kFarthest + back - 1) *
               static_cast<size_t>(shape_.experts) +
           static_cast<size_t>(from);
  }
  void Add(int32_t layer, size_t back, int32_t from, float each, std::span<float> log_odds) const {
    const size_t row = Row(layer, back, from);
    for (size_t i = rows_[row]; i < rows_[row + 1]; ++i) {
      const PredictorTable::Weight& weight = table_.weights()[i];
      log_odds[static_cast<size_t>(weight.to)] += each * weight.log_odds;
    }
  }

  const CacheShape shape_;
  const PrefetchSpec& prefetch_;
  const PredictorTable table_;
  std::vector<size_t> rows_;         // where the weights of a (layer, back, from) begin
  std::vector<float> biases_;        // by key
  std::vector<PreviousCall> calls_;  // the last kFarthest, as a ring
  size_t newest_ = 0;
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewTablePredictor(const PredictorSetup& setup) {
  return std::make_unique<TablePredictor>(setup);
}

}  // namespace sluice
