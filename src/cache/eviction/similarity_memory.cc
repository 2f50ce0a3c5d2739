#include "cache/eviction/similarity_memory.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

// Constants of a search on recorded routing. None is delicate: half or twice as much moves the hit
// rate by a fraction of a percent.
constexpr float kSharpness = 15.36F;  // how much more similar tokens count more
constexpr float kCarry = 0.2F;        // what the similarity of the tokens before adds
constexpr float kCut = 5;  // tokens of less than e^-5 of the best's strength are left out

}  // namespace

SimilarityMemory::SimilarityMemory(CacheShape shape, int32_t top_k, Horizon horizon,
                                   const LaneKernels& kernels)
    : shape_(shape),
      scale_(kSharpness / static_cast<float>(top_k * shape.layers)),
      horizon_(horizon),
      kernels_(kernels),
      planes_((static_cast<size_t>(shape.experts) + 31) / 32),
      words_(static_cast<size_t>(shape.layers) * planes_ * kStride),
      overlap_(kStride),
      carried_(kStride),
      next_carried_(kStride),
      affinity_(kTokens + kLanes),
      bests_(kTokens / kLanes + 1),
      similar_(kTokens + 1),
      strengths_(kTokens + kLanes),
      voters_(kTokens + 2 * kLanes),
      weights_(kTokens + 2 * kLanes),
      votes_(planes_ * 32) {
  float decay = 1;
  for (size_t d = 0; d < horizon.tokens; ++d, decay *= horizon.decay) decays_[d] = decay;
}

void SimilarityMemory::Reset() {
  begin_ = present_ = step_tokens_ = 0;
  std::ranges::fill(words_, 0);
  std::ranges::fill(overlap_, 0);
  std::ranges::fill(carried_, 0.0F);
}

void SimilarityMemory::BeginStep(int32_t tokens) {
  const auto kept = std::min(static_cast<size_t>(tokens), kTokens + 1);
  // The similarity of the token before, seen from the token after: one position on.
  std::ranges::fill(next_carried_, 0.0F);
  if (kept == 1) {
    for (size_t q = begin_; q < present_; ++q) {
      next_carried_[q + 1] = kCarry * (static_cast<float>(overlap_[q]) + carried_[q]);
    }
  }
  std::swap(carried_, next_carried_);
  const size_t end = step_tokens_ == 0 ? 0 : present_ + 1;
  size_t first = end;  // of this step
  if (end + kept > kStride - kLanes) {
    const size_t remembered = std::min(end - begin_, kTokens);
    const size_t from = end - remembered;
    for (size_t plane = 0; plane < words_.size(); plane += kStride) {
      uint32_t* words = &words_[plane];
      std::memmove(words, words + from, remembered * sizeof(uint32_t));
      std::fill(words + remembered, words + kStride, 0);
    }
    std::memmove(carried_.data(), &carried_[from], remembered * sizeof(float));
    begin_ = 0;
    first = remembered;
  }
  step_tokens_ = kept;
  present_ = first + kept - 1;
  begin_ = std::max(begin_, present_ < kTokens ? 0 : present_ - kTokens);
  std::ranges::fill(overlap_, 0);
}

void SimilarityMemory::Observe(const LayerCall& call) {
  if (steps_.Begins(call)) BeginStep(call.tokens);
  layer_ = call.layer;
  recalled_ = false;
  uint32_t present[64] = {};  // 2048 experts; what lies beyond is not compared
  const size_t planes = std::min<size_t>(planes_, 64);
  const auto rows = static_cast<int32_t>(std::min(static_cast<size_t>(call.tokens), step_tokens_));
  for (int32_t back = 0; back < rows; ++back) {
    const size_t at = present_ - static_cast<size_t>(back);
    for (const int32_t expert : Chosen(call, call.tokens - 1 - back)) {
      const auto e = static_cast<size_t>(expert);
      const uint32_t bit = uint32_t{1} << (e % 32);
      Plane(call.layer, e / 32)[at] |= bit;
      if (back == 0 && e / 32 < planes) present[e / 32] |= bit;
    }
  }
  kernels_.add_overlap({Plane(call.layer, 0) + begin_, kStride, planes}, present, &overlap_[begin_],
                       present_ - begin_);
}

std::span<const float> SimilarityMemory::Recall() {
  if (recalled_) return votes_;
  recalled_ = true;
  std::ranges::fill(votes_, 0.0F);
  const size_t tokens = present_ - begin_;
  if (tokens == 0) return votes_;
  const float weight = static_cast<float>(shape_.layers) / static_cast<float>(layer_ + 1);
  const float best = kernels_.affinity(&overlap_[begin_], &carried_[begin_], weight, scale_,
                                       affinity_.data(), bests_.data(), tokens);
  size_t count = 0;
  for (size_t block = 0; block < tokens; block += kLanes) {
    if (bests_[block / kLanes] < best - kCut) continue;
    for (size_t q = block; q < std::min(tokens, block + kLanes); ++q) {
      similar_[count] = static_cast<uint32_t>(q);
      strengths_[count] = affinity_[q] - best;
      count += affinity_[q] >= best - kCut ? 1 : 0;
    }
  }
  kernels_.exp(strengths_.data(), count);
  // Who follows a similar token votes with its strength, less with the distance.
  std::fill(weights_.begin(), weights_.begin() + static_cast<int64_t>(tokens + 2 * kLanes), 0.0F);
  float total = 0;
  size_t voters = 0;
  size_t next = 0;  // the first that does not vote yet
  for (size_t i = 0; i < count; ++i) {
    const size_t similar = similar_[i];
    for (size_t d = 0; d < kLanes; ++d) weights_[similar + 1 + d] += strengths_[i] * decays_[d];
    total += strengths_[i];
    next = std::max(next, similar + 1);
    const size_t end = std::min(tokens + 1, similar + 1 + horizon_.tokens);
    for (size_t d = 0; d < kLanes; ++d) voters_[voters + d] = static_cast<uint32_t>(next + d);
    voters += end - next;
    next = end;
  }
  kernels_.vote({Plane(layer_, 0) + begin_, kStride, planes_}, voters_.data(), voters,
                weights_.data(), votes_.data());
  const float share = 1 / (3 * total);
  for (float& vote : votes_) vote *= share;
  return votes_;
}

}  // namespace sluice
