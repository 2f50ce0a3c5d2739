#include "cache/prefetch/delayed_logistic.h"

#include <algorithm>

#include "cache/prefetch/arithmetic.h"

namespace sluice {

DelayedLogistic::DelayedLogistic(CacheShape shape, std::span<const float> initial)
    : shape_(shape),
      features_(initial.size()),
      regressions_(kDistances, OnlineLogistic(initial, shape.experts)),
      waiting_(shape.size() * kDistances * features_),
      scored_(static_cast<size_t>(shape.layers) * kDistances),
      share_(static_cast<size_t>(shape.experts)) {}

size_t DelayedLogistic::Bucket(int32_t distance) {
  return static_cast<size_t>(std::clamp(distance, 1, kDistances) - 1);
}

std::span<float> DelayedLogistic::Features(int32_t layer, int32_t distance) {
  const size_t row = static_cast<size_t>(layer) * kDistances + Bucket(distance);
  const size_t floats = features_ * static_cast<size_t>(shape_.experts);
  return std::span(waiting_).subspan(row * floats, floats);
}

void DelayedLogistic::Score(int32_t layer, int32_t distance, std::span<float> probability) {
  const size_t bucket = Bucket(distance);
  regressions_[bucket].Score(Features(layer, distance), probability);
  Map(probability, probability, [](Float4 z) { return Sigmoid(z); });
  scored_[static_cast<size_t>(layer) * kDistances + bucket] = 1;
}

bool DelayedLogistic::Observe(const LayerCall& call) {
  char* const scored = &scored_[static_cast<size_t>(call.layer) * kDistances];
  if (std::none_of(scored, scored + kDistances, [](char s) { return s != 0; })) return false;
  std::ranges::fill(share_, 0.0F);
  for (const Demand& demand : call.demands) {
    share_[static_cast<size_t>(demand.expert)] =
        static_cast<float>(demand.tokens) / static_cast<float>(call.tokens);
  }
  const bool next_scored = scored[0] != 0;
  for (int32_t bucket = 0; bucket < kDistances; ++bucket) {
    if (scored[bucket] == 0) continue;
    regressions_[static_cast<size_t>(bucket)].Learn(Features(call.layer, bucket + 1), share_);
    scored[bucket] = 0;
  }
  return next_scored;
}

void DelayedLogistic::Reset() {
  for (OnlineLogistic& regression : regressions_) regression.Reset();
  std::ranges::fill(scored_, 0);
}

}  // namespace sluice
