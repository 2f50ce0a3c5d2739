// Klotski's correlation table (arXiv 2502.06888, section 5): of the tokens that chose an expert in
// the layer before, how many chose each expert of this one, with a path of one layer as in the
// paper. A layer's tendency is the mean over the experts that the tokens chose before; layer 0, and
// what lies farther ahead than one layer, have plain popularity.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/call_sample.h"
#include "cache/prefetch/predictor_table.h"
#include "cache/prefetch/transition_table.h"

namespace sluice {
namespace {

// As many tokens that chose evenly count beside those seen.
constexpr float kEvenTokens = 4;

class KlotskiPredictor final : public Predictor {
 public:
  explicit KlotskiPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        prefetch_(*setup.prefetch),
        even_(static_cast<float>(setup.top_k) / static_cast<float>(setup.shape.experts)),
        given_(PredictorTable::Read(setup.table, setup.shape)),
        table_(setup.shape),
        previous_(setup.top_k),
        counts_(setup.shape.size()),
        tokens_(static_cast<size_t>(setup.shape.layers)),
        popularity_(static_cast<size_t>(setup.shape.experts)) {
    given_.Fill(&table_);
  }

  void Observe(const LayerCall& call) override {
    const int32_t samples = SampledTokens(call);
    if (prefetch_.learn == Learn::kOnline && call.layer > 0) {
      for (int32_t i = 0; i < samples; ++i) {
        table_.Count(call.layer, previous_.Choice(i, samples), SampledChoice(call, i));
      }
    }
    for (const Demand& demand : call.demands) {
      counts_[shape_.Index({.layer = call.layer, .expert = demand.expert})] +=
          static_cast<uint64_t>(demand.tokens);
    }
    tokens_[static_cast<size_t>(call.layer)] += static_cast<uint64_t>(call.tokens);
    previous_.Remember(call);
  }
  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const uint64_t* const counts = &counts_[shape_.Index({.layer = layer})];
    const float scale = 1 / (static_cast<float>(tokens_[static_cast<size_t>(layer)]) + kEvenTokens);
    for (size_t e = 0; e < probability.size(); ++e) {
      popularity_[e] = (static_cast<float>(counts[e]) + kEvenTokens * even_) * scale;
    }
    if (distance > 1 || layer == 0) {
      std::ranges::copy(popularity_, probability.begin());
      return;
    }
    std::ranges::fill(probability, 0.0F);
    const int32_t samples = SampledTokens(call);
    const float each = 1 / static_cast<float>(samples * call.top_k);
    for (int32_t i = 0; i < samples; ++i) {
      for (const int32_t from : SampledChoice(call, i)) {
        table_.AddConditional(layer, from, each, popularity_, probability);
      }
    }
    // A mean of probabilities, but for rounding.
    for (float& p : probability) p = std::min(1.0F, p);
  }
  void Reset() override {
    table_.Reset();
    given_.Fill(&table_);
    previous_.Reset();
    std::ranges::fill(counts_, uint64_t{0});
    std::ranges::fill(tokens_, uint64_t{0});
  }

 private:
  const CacheShape shape_;
  const PrefetchSpec& prefetch_;
  const float even_;
  const PredictorTable given_;
  TransitionTable table_;
  PreviousCall previous_;
  std::vector<uint64_t> counts_;  // by key: tokens that chose it
  std::vector<uint64_t> tokens_;  // by layer
  std::vector<float> popularity_;
};

}  // namespace

std::unique_ptr<Predictor> NewKlotskiPredictor(const PredictorSetup& setup) {
  return std::make_unique<KlotskiPredictor>(setup);
}

}  // namespace sluice
