// Logistic regression that learns while it runs: P(chosen) = 1 / (1 + exp(-sum of weight x
// feature)), for all experts of a layer at a time. Duchi, Hazan & Singer's AdaGrad (2011): each
// weight moves by its gradient over the root of the sum of its squared gradients so far.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

class OnlineLogistic {
 public:
  // One weight per feature, and where each begins.
  OnlineLogistic(std::span<const float> initial, int32_t experts);

  // features [features, experts] -> log-odds [experts].
  void Score(std::span<const float> features, std::span<float> log_odds) const;
  // One step towards `share` [experts]: how much of the tokens chose each expert, given what the
  // features said before.
  void Learn(std::span<const float> features, std::span<const float> share);
  void Reset();

  // [experts]: of the last Learn, share less probability.
  std::span<const float> residuals() const { return residuals_; }

 private:
  const std::vector<float> initial_;
  const size_t experts_;
  std::vector<float> weights_;
  std::vector<float> squares_;    // of gradients, summed
  std::vector<float> residuals_;  // [experts]
};

}  // namespace sluice
