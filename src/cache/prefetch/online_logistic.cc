#include "cache/prefetch/online_logistic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cache/prefetch/arithmetic.h"

namespace sluice {
namespace {

constexpr float kRate = 0.02F;
// So that the first gradients, of which nothing is known, do not move a weight by the full rate.
constexpr float kFirstSquares = 0.001F;

// The sum of a[i] * b[i] in eight accumulators: an order that does not depend on the compiler.
float Dot(std::span<const float> a, std::span<const float> b) {
  std::array<float, 8> sums = {};
  size_t i = 0;
  for (; i + sums.size() <= a.size(); i += sums.size()) {
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < a.size(); ++i) sums[0] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

OnlineLogistic::OnlineLogistic(std::span<const float> initial, int32_t experts)
    : initial_(initial.begin(), initial.end()),
      experts_(static_cast<size_t>(experts)),
      weights_(initial_),
      squares_(initial_.size(), kFirstSquares),
      residuals_(experts_) {}

void OnlineLogistic::Score(std::span<const float> features, std::span<float> log_odds) const {
  std::ranges::fill(log_odds, 0.0F);
  for (size_t f = 0; f < weights_.size(); ++f) {
    const float weight = weights_[f];
    const float* const feature = &features[f * experts_];
    for (size_t e = 0; e < log_odds.size(); ++e) log_odds[e] += weight * feature[e];
  }
}

void OnlineLogistic::Learn(std::span<const float> features, std::span<const float> share) {
  Score(features, residuals_);
  Map(residuals_, residuals_, [](Float4 z) { return Sigmoid(z); });
  for (size_t e = 0; e < experts_; ++e) residuals_[e] = share[e] - residuals_[e];
  for (size_t f = 0; f < weights_.size(); ++f) {
    const float gradient =
        Dot(features.subspan(f * experts_, experts_), residuals_) / static_cast<float>(experts_);
    squares_[f] += gradient * gradient;
    weights_[f] += kRate * gradient / std::sqrt(squares_[f]);
  }
}

void OnlineLogistic::Reset() {
  weights_ = initial_;
  squares_.assign(squares_.size(), kFirstSquares);
}

}  // namespace sluice
