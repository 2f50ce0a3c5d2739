// Prompts come hundreds of tokens at a time, and a token more or less does not matter to what is
// learned from them. Predictors that work per token look at a few only: evenly spaced, the last one
// included, and the same ones in every layer of a step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

inline constexpr int32_t kSampledTokens = 8;

inline int32_t SampledTokens(const LayerCall& call) {
  return std::min(call.tokens, kSampledTokens);
}
// The experts that sampled token `i` chose, in rank order.
inline std::span<const int32_t> SampledChoice(const LayerCall& call, int32_t i) {
  const int64_t token = (int64_t{i} + 1) * call.tokens / SampledTokens(call) - 1;
  return call.experts.subspan(static_cast<size_t>(token * call.top_k),
                              static_cast<size_t>(call.top_k));
}

// The sampled choices of the call before.
class PreviousCall {
 public:
  explicit PreviousCall(int32_t top_k)
      : top_k_(static_cast<size_t>(top_k)), experts_(top_k_ * kSampledTokens) {}

  // What the token that is sampled token `i` of a call with `tokens` samples chose in the call
  // before; after the end of a step that is the token before it. Empty where nobody knows.
  std::span<const int32_t> Choice(int32_t i, int32_t tokens) const {
    if (tokens_ == 0) return {};
    // Another number of tokens is another step: only its last token is a neighbour of the first.
    const int32_t at = tokens == tokens_ ? i : tokens_ - 1;
    return std::span(experts_).subspan(static_cast<size_t>(at) * top_k_, top_k_);
  }
  void Remember(const LayerCall& call) {
    tokens_ = SampledTokens(call);
    for (int32_t i = 0; i < tokens_; ++i) {
      std::ranges::copy(SampledChoice(call, i), experts_.begin() + std::ptrdiff_t{i} * call.top_k);
    }
  }
  void Reset() { tokens_ = 0; }

 private:
  const size_t top_k_;
  int32_t tokens_ = 0;
  std::vector<int32_t> experts_;  // [kSampledTokens, top_k_], of which tokens_
};

}  // namespace sluice
