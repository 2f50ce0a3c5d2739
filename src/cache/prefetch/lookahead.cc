// The most frequent experts of the layer ahead: the share of its last history_window tokens that
// chose each. It ignores what the token under way has chosen so far.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/call_sample.h"

namespace sluice {
namespace {

// Of the window, in tokens: longer ones are popularity, for which history has averages.
constexpr int64_t kLongest = 4096;
// As many tokens that chose evenly count beside those of the window.
constexpr float kEvenTokens = 2;

class LookaheadPredictor final : public Predictor {
 public:
  explicit LookaheadPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        top_k_(static_cast<size_t>(setup.top_k)),
        window_(
            static_cast<size_t>(std::clamp<int64_t>(setup.prefetch->history_window, 1, kLongest))),
        even_(static_cast<float>(setup.top_k) / static_cast<float>(setup.shape.experts)),
        chosen_(static_cast<size_t>(shape_.layers) * window_ * top_k_),
        tokens_(static_cast<size_t>(shape_.layers)),
        counts_(shape_.size()) {}

  void Observe(const LayerCall& call) override {
    const auto layer = static_cast<size_t>(call.layer);
    uint16_t* const counts = &counts_[shape_.Index({.layer = call.layer})];
    for (int32_t i = 0; i < SampledTokens(call); ++i) {
      int32_t* const place = &chosen_[(layer * window_ + tokens_[layer] % window_) * top_k_];
      if (tokens_[layer] >= window_) {
        for (size_t k = 0; k < top_k_; ++k) --counts[place[k]];
      }
      const std::span<const int32_t> choice = SampledChoice(call, i);
      std::ranges::copy(choice, place);
      for (const int32_t e : choice) ++counts[e];
      ++tokens_[layer];
    }
  }
  void Predict(const LayerCall& /*call*/, int32_t layer, int32_t /*distance*/,
               std::span<float> probability) override {
    const uint64_t seen = std::min<uint64_t>(tokens_[static_cast<size_t>(layer)], window_);
    const uint16_t* const counts = &counts_[shape_.Index({.layer = layer})];
    const float scale = 1 / (static_cast<float>(seen) + kEvenTokens);
    for (size_t e = 0; e < probability.size(); ++e) {
      probability[e] = (static_cast<float>(counts[e]) + kEvenTokens * even_) * scale;
    }
  }
  void Reset() override {
    std::ranges::fill(tokens_, uint64_t{0});
    std::ranges::fill(counts_, uint16_t{0});
  }

 private:
  const CacheShape shape_;
  const size_t top_k_;
  const size_t window_;
  const float even_;
  std::vector<int32_t> chosen_;   // [layers, window, top_k], a ring per layer
  std::vector<uint64_t> tokens_;  // [layers]: sampled so far
  std::vector<uint16_t> counts_;  // by key: of the tokens in the window
};

}  // namespace

std::unique_ptr<Predictor> NewLookaheadPredictor(const PredictorSetup& setup) {
  return std::make_unique<LookaheadPredictor>(setup);
}

}  // namespace sluice
