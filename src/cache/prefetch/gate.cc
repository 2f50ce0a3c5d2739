// The router of a layer ahead, applied to the hidden state of now (Eliseev & Mazur, arXiv
// 2312.17238): the engine computes it, LayerCall::gate brings it. How far it can be trusted is
// learned: per layer, how often its n-th guess came true, and how much its own numbers add to that.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "cache/prefetch.h"
#include "cache/prefetch/arithmetic.h"
#include "cache/prefetch/delayed_logistic.h"

namespace sluice {
namespace {

// Guesses beyond are as good as none.
constexpr size_t kRanks = 64;
// What is believed before anything is known, and how many guesses that belief is worth.
constexpr float kTop = 0.7F;
constexpr float kNext = 0.2F;
constexpr float kRest = 0.02F;
constexpr float kBelief = 16;
// Weights of old guesses fade, since a layer's router may be a better guide in one text than
// another.
constexpr float kKept = 0.998F;
constexpr float kFloor = 0.001F;
// bias, log-odds by rank, logarithm of the router's number
constexpr std::array<float, 3> kInitial = {0, 1, 0};

class GatePredictor final : public Predictor {
 public:
  explicit GatePredictor(const PredictorSetup& setup)
      : shape_(setup.shape),
        top_k_(static_cast<size_t>(setup.top_k)),
        trust_(static_cast<size_t>(setup.shape.layers)),
        logistic_(setup.shape, kInitial) {
    Start();
  }

  void Observe(const LayerCall& call) override {
    logistic_.Observe(call);
    Trust& trust = trust_[static_cast<size_t>(call.layer)];
    if (trust.guesses > 0) Judge(call, trust);
    trust.guesses = 0;
    if (call.gate.layer < 0 || call.gate.layer >= shape_.layers) return;
    Trust& asked = trust_[static_cast<size_t>(call.gate.layer)];
    asked.guesses = std::min(kRanks, call.gate.experts.size());
    for (size_t i = 0; i < asked.guesses; ++i) asked.guess[i] = call.gate.experts[i].expert;
  }
  void Predict(const LayerCall& call, int32_t layer, int32_t distance,
               std::span<float> probability) override {
    const GateGuess& gate = call.gate;
    if (gate.layer != layer || gate.experts.empty()) {
      std::ranges::fill(probability, 0.0F);
      return;
    }
    const Trust& trust = trust_[static_cast<size_t>(layer)];
    const size_t experts = probability.size();
    const std::span<float> features = logistic_.Features(layer, distance);
    std::ranges::fill(features.first(experts), 1.0F);
    std::ranges::fill(features.subspan(experts, experts), Logit(trust.rate[kRanks]));
    std::ranges::fill(features.subspan(2 * experts, experts), Log(kFloor));
    for (size_t i = 0; i < std::min(kRanks, gate.experts.size()); ++i) {
      const auto e = static_cast<size_t>(gate.experts[i].expert);
      features[experts + e] = Logit(trust.rate[i]);
      features[2 * experts + e] = Log(std::clamp(gate.experts[i].probability, 0.0F, 1.0F) + kFloor);
    }
    logistic_.Score(layer, distance, probability);
  }
  void Reset() override {
    Start();
    logistic_.Reset();
  }

 private:
  struct Trust {
    std::array<float, kRanks + 1> rate = {};  // by rank, how many came true; last: the unnamed
    float judged = 0;                         // guesses that the rates rest on
    size_t guesses = 0;                       // of the guess that waits
    std::array<int32_t, kRanks> guess = {};
  };

  void Start() {
    Trust trust;
    trust.judged = kBelief;
    trust.rate.fill(kRest);
    for (size_t i = 0; i < kRanks; ++i) {
      if (i < 2 * top_k_) trust.rate[i] = i < top_k_ ? kTop : kNext;
    }
    std::ranges::fill(trust_, trust);
  }
  void Judge(const LayerCall& call, Trust& trust) {
    trust.judged = kKept * trust.judged + 1;
    const float step = 1 / trust.judged;
    // The share of tokens that chose each guess; what is left went to experts that it did not name.
    float left = static_cast<float>(call.top_k);
    for (size_t i = 0; i < trust.guesses; ++i) {
      float share = 0;
      for (const Demand& demand : call.demands) {
        if (demand.expert != trust.guess[i]) continue;
        share = static_cast<float>(demand.tokens) / static_cast<float>(call.tokens);
        break;
      }
      left -= share;
      trust.rate[i] += step * (share - trust.rate[i]);
    }
    const size_t unnamed = static_cast<size_t>(shape_.experts) - trust.guesses;
    if (unnamed == 0) return;
    const float share = std::max(0.0F, left) / static_cast<float>(unnamed);
    trust.rate[kRanks] += step * (share - trust.rate[kRanks]);
  }

  const CacheShape shape_;
  const size_t top_k_;
  std::vector<Trust> trust_;  // by layer
  DelayedLogistic logistic_;
};

}  // namespace

std::unique_ptr<Predictor> NewGatePredictor(const PredictorSetup& setup) {
  return std::make_unique<GatePredictor>(setup);
}

}  // namespace sluice
