#include "cache/prefetch/transition_table.h"

#include <algorithm>
#include <cmath>

#include "cache/prefetch/arithmetic.h"

namespace sluice {
namespace {

// A row is halved when it has seen this many tokens.
constexpr uint16_t kFull = 4096;
// How many tokens' worth the base rate counts in a row: a row that is new says nothing.
constexpr float kBaseTokens = 4;
// Factors of a lift lie in [kBaseTokens / kFull, experts / top_k]: eight of them fit a float.
constexpr size_t kFactors = 8;

}  // namespace

TransitionTable::TransitionTable(CacheShape shape)
    : shape_(shape),
      counts_(shape.size() * static_cast<size_t>(shape.experts)),
      times_(shape.size()),
      product_(static_cast<size_t>(shape.experts)),
      inverse_(static_cast<size_t>(shape.experts)) {}

void TransitionTable::Count(int32_t layer, std::span<const int32_t> from,
                            std::span<const int32_t> to) {
  const auto experts = static_cast<size_t>(shape_.experts);
  for (const int32_t f : from) {
    const size_t row = Row(layer, f);
    const std::span<uint16_t> counts = std::span(counts_).subspan(row * experts, experts);
    if (times_[row] >= kFull) {
      for (uint16_t& count : counts) count = static_cast<uint16_t>(count >> 1);
      times_[row] = static_cast<uint16_t>(times_[row] >> 1);
    }
    ++times_[row];
    for (const int32_t t : to) ++counts[static_cast<size_t>(t)];
  }
}

void TransitionTable::AddLogLift(int32_t layer, std::span<const int32_t> from,
                                 std::span<const float> base, std::span<float> log_lift) {
  const auto experts = static_cast<size_t>(shape_.experts);
  for (size_t e = 0; e < experts; ++e) inverse_[e] = 1 / base[e];
  const float* const inverse = inverse_.data();
  while (!from.empty()) {
    const size_t factors = std::min(kFactors, from.size());
    std::ranges::fill(product_, 1.0F);
    float* const product = product_.data();
    for (const int32_t f : from.first(factors)) {
      const size_t row = Row(layer, f);
      const uint16_t* const counts = &counts_[row * experts];
      const float scale = 1 / (static_cast<float>(times_[row]) + kBaseTokens);
      for (size_t e = 0; e < experts; ++e) {
        product[e] *= (static_cast<float>(counts[e]) * inverse[e] + kBaseTokens) * scale;
      }
    }
    Map(product_, product_, [](Float4 x) { return Log(x); });
    for (size_t e = 0; e < experts; ++e) log_lift[e] += product[e];
    from = from.subspan(factors);
  }
}

void TransitionTable::AddConditional(int32_t layer, int32_t from, float weight,
                                     std::span<const float> base,
                                     std::span<float> probability) const {
  const auto experts = static_cast<size_t>(shape_.experts);
  const size_t row = Row(layer, from);
  const uint16_t* const counts = &counts_[row * experts];
  const float scale = weight / (static_cast<float>(times_[row]) + kBaseTokens);
  for (size_t e = 0; e < experts; ++e) {
    probability[e] += scale * (static_cast<float>(counts[e]) + kBaseTokens * base[e]);
  }
}

void TransitionTable::Set(int32_t layer, int32_t from, int32_t to, double probability,
                          int32_t times) {
  const auto experts = static_cast<size_t>(shape_.experts);
  const size_t row = Row(layer, from);
  times_[row] = static_cast<uint16_t>(times);
  counts_[row * experts + static_cast<size_t>(to)] =
      static_cast<uint16_t>(std::lround(probability * times));
}

void TransitionTable::Reset() {
  std::ranges::fill(counts_, uint16_t{0});
  std::ranges::fill(times_, uint16_t{0});
}

}  // namespace sluice
