// The closest of remembered patterns says what comes. A pattern is what one token chose in all
// layers (key = trajectory: FineMoE, EuroSys '26), or how often a stretch of text chose each expert
// (key = sequence: MoE-Infinity, arXiv 2401.14361; a call does not say where a sequence begins, so
// a stretch is 64 tokens). Patterns are compared over what has been chosen so far, by cosine or by
// Jaccard's index (for counts Tanimoto's: dot / (|a|^2 + |b|^2 - dot)).
//
// A full store gives up the pattern most like the new one (trajectory), or the one that was closest
// least often (sequence). What the closest pattern says is calibrated by a regression that knows
// how close it is. Of a call with several tokens the last one is followed; stretches take in a
// sample.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/call_sample.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

constexpr size_t kStoreBytes = size_t{48} << 20;
constexpr uint32_t kStretch = 64;  // tokens; at most 255, which counts have to hold
constexpr float kFloor = 0.02F;
// bias, log-odds of the share of the pattern's tokens that chose the expert, the same x closeness
constexpr std::array<float, 3> kInitial = {-0.5F, 0.4F, 0.4F};

class PatternPredictor final : public Predictor {
 public:
  explicit PatternPredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        match_(setup.prefetch->match),
        // There is no embedding here to compare: the trajectory, which FineMoE follows after the
        // first layers, stands for it from the beginning.
        by_sequence_(setup.prefetch->key == PatternKey::kSequence),
        places_(std::clamp<size_t>(static_cast<size_t>(setup.prefetch->store), 1,
                                   std::max<size_t>(1, kStoreBytes / setup.shape.size()))),
        stored_(setup.shape.size() * places_),
        token_keys_(static_cast<size_t>(setup.shape.layers) * static_cast<size_t>(setup.top_k)),
        keys_(by_sequence_ ? 0 : places_ * token_keys_, -1),
        now_(setup.shape.size()),
        squares_(Padded(), 1.0F),
        tokens_(places_),
        used_(places_),
        dot_(Padded()),
        scratch_(Padded()),
        logistic_(setup.shape, kInitial) {
    now_keys_.reserve(token_keys_);
  }

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    if (call.tokens == 0) return;
    if (call.layer <= last_layer_) EndToken();
    last_layer_ = call.layer;
    const int32_t samples = SampledTokens(call);
    for (int32_t i = by_sequence_ ? 0 : samples - 1; i < samples; ++i) {
      for (const int32_t e : SampledChoice(call, i)) {
        const size_t key = shape_.Index({.layer = call.layer, .expert = e});
        now_squares_ += static_cast<float>(2 * now_[key] + 1);
        ++now_[key];
        if (!by_sequence_) now_keys_.push_back(static_cast<ExpertKey>(key));
        const uint8_t* const counts = &stored_[key * places_];
        float* const dot = dot_.data();
        for (size_t q = 0; q < filled_; ++q) dot[q] += static_cast<float>(counts[q]);
      }
    }
    samples_ = samples;
    FindClosest();
  }

  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    // Which token comes after this one a trajectory does not say.
    if (filled_ == 0 || (!by_sequence_ && layer <= call.layer)) {
      std::ranges::fill(probability, 0.0F);
      return;
    }
    const size_t experts = probability.size();
    const std::span<float> features = logistic_.Features(layer, distance);
    const uint8_t* counts = &stored_[shape_.Index({.layer = layer}) * places_ + closest_];
    const float each = 1 / static_cast<float>(tokens_[closest_]);
    for (size_t e = 0; e < experts; ++e, counts += places_) {
      const float share = std::min(1.0F, each * static_cast<float>(*counts));
      const float log_odds = Log((share + kFloor) / (1 - share + kFloor));
      features[e] = 1;
      features[experts + e] = log_odds;
      features[2 * experts + e] = log_odds * closeness_;
    }
    logistic_.Score(layer, distance, probability);
  }

  void Reset() override {
    std::ranges::fill(stored_, uint8_t{0});
    std::ranges::fill(used_, 0U);
    std::ranges::fill(keys_, -1);
    std::ranges::fill(squares_, 1.0F);
    filled_ = 0;
    last_layer_ = -1;
    ForgetPresent();
    logistic_.Reset();
  }

 private:
  size_t Padded() const { return (places_ + 3) / 4 * 4; }
  // A column of stored_ is far apart in memory: only what a token chose is touched.
  void StoreToken(size_t place) {
    const std::span<ExpertKey> keys = std::span(keys_).subspan(place * token_keys_, token_keys_);
    for (const ExpertKey key : keys) {
      if (key >= 0) stored_[static_cast<size_t>(key) * places_ + place] = 0;
    }
    std::ranges::fill(keys, -1);
    std::ranges::copy(now_keys_, keys.begin());
    for (const ExpertKey key : now_keys_) stored_[static_cast<size_t>(key) * places_ + place] = 1;
  }
  void ForgetPresent() {
    if (by_sequence_) std::ranges::fill(now_, uint8_t{0});
    for (const ExpertKey key : now_keys_) now_[static_cast<size_t>(key)] = 0;
    now_keys_.clear();
    std::ranges::fill(dot_, 0.0F);
    now_squares_ = 0;
    sampled_ = 0;
    closest_ = 0;
    closeness_ = 0;
  }
  // (dot / |a||b|)^2 but for the present pattern's |b|^2, which is the same for all; or
  // dot / (|a|^2 + |b|^2 - dot). All of a pattern counts, though only part of it can agree so far:
  // for trajectories that is the same for all.
  Float4 Closeness4(const float* dot, const float* squares) const {
    const Float4 d = Load4(dot);
    const Float4 s = Load4(squares);
    return match_ == Match::kCosine ? d * d / s : d / (s + now_squares_ - d);
  }
  void FindClosest() {
    if (filled_ == 0) return;
    Float4 most4 = {-1, -1, -1, -1};
    for (size_t q = 0; q < filled_; q += 4) {
      const Float4 closeness = Closeness4(&dot_[q], &squares_[q]);
      most4 = Max4(most4, closeness);
      Store4(closeness, &scratch_[q]);
    }
    float most = std::max(std::max(most4[0], most4[1]), std::max(most4[2], most4[3]));
    // The first of equals. Places beyond filled_ have no dot, and a pattern that agrees in nothing
    // may as well be the first.
    closest_ = 0;
    while (closest_ + 1 < filled_ && scratch_[closest_] < most) ++closest_;
    if (match_ == Match::kCosine) most /= now_squares_;
    // Seen from the layers so far, a trajectory that agrees in all of them is as close as can be.
    const float part =
        by_sequence_ ? 1 : static_cast<float>(last_layer_ + 1) / static_cast<float>(shape_.layers);
    const float seen = std::min(1.0F, most / part);
    closeness_ = match_ == Match::kCosine ? std::sqrt(seen) : seen;
    if (by_sequence_) ++used_[closest_];
  }
  void EndToken() {
    sampled_ += by_sequence_ ? samples_ : 1;
    if (!by_sequence_ || static_cast<uint32_t>(sampled_) + kSampledTokens > kStretch) {
      Store();
      ForgetPresent();
    }
  }
  void Store() {
    size_t place = filled_;
    if (filled_ < places_) {
      ++filled_;
    } else {
      place = by_sequence_ ? static_cast<size_t>(std::ranges::min_element(used_) - used_.begin())
                           : closest_;
    }
    if (by_sequence_) {
      for (size_t key = 0; key < now_.size(); ++key) stored_[key * places_ + place] = now_[key];
    } else {
      StoreToken(place);
    }
    squares_[place] = now_squares_;
    tokens_[place] = static_cast<uint32_t>(sampled_);
    used_[place] = 0;
  }

  const CacheShape shape_;
  const Match match_;
  const bool by_sequence_;
  const size_t places_;

  std::vector<uint8_t> stored_;      // [layers, experts, places]: tokens that chose the expert
  const size_t token_keys_;          // layers x top_k
  std::vector<ExpertKey> keys_;      // [places, token_keys_] of trajectories; -1: none
  std::vector<ExpertKey> now_keys_;  // of the token under way
  std::vector<uint8_t> now_;         // by key: the same of the pattern that is being made
  std::vector<float> squares_;       // [padded places]: |pattern|^2; 1 where there is none
  std::vector<uint32_t> tokens_;     // [places]: of the pattern
  std::vector<uint32_t> used_;       // [places]: how often it was the closest
  std::vector<float> dot_;           // [padded places]: with the present pattern
  std::vector<float> scratch_;       // [padded places]
  size_t filled_ = 0;
  float now_squares_ = 0;
  int32_t sampled_ = 0;  // whole tokens in now_
  int32_t samples_ = 0;  // of the token or tokens under way
  int32_t last_layer_ = -1;
  size_t closest_ = 0;
  float closeness_ = 0;
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewPatternPredictor(const PredictorSetup& setup) {
  return std::make_unique<PatternPredictor>(setup);
}

}  // namespace sluice
