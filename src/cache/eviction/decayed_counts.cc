#include "cache/eviction/decayed_counts.h"

#include <algorithm>

namespace sluice {
namespace {

// A choice that weighs less than the inverse of this beside the latest is not counted, and weights
// are scaled back once they reach it: so no product leaves the range of a double.
constexpr double kLargest = 0x1p256;

}  // namespace

DecayedCounts::DecayedCounts(const RuleSetup& setup)
    : shape_(setup.shape),
      cache_(setup.cache),
      counts_(setup.shape.size()),
      resident_(setup.shape.size()) {}

int32_t DecayedCounts::BeginCall(const LayerCall& call, double decay, Span every) {
  const bool begins = steps_.Begins(call);
  const bool per_token = every.unit == SpanUnit::kTokens;
  const bool per_access = every.unit == SpanUnit::kAccesses;
  if (per_token) {
    if (begins) {
      step_weight_ = latest_weight_;
      step_time_ = latest_time_;
    }
    weight_ = step_weight_;
    time_ = step_time_;
  } else if (begins && !per_access) {
    Advance(decay, every.count);
  }
  while (weight_ >= kLargest) Rescale();
  if (cache_->history == History::kResident) {
    for (const Demand& demand : call.demands) {
      const ExpertKey expert = FirstKey(shape_, call.layer) + demand.expert;
      const auto key = static_cast<size_t>(expert);
      if (resident_[key] == 0) counts_[key] = 0;
    }
  }
  if (call.tokens == 1 || !(per_token || per_access)) return 0;
  const int64_t ticks_per_row = per_access ? call.top_k : 1;
  double growth = 1;
  int64_t ticks = 0;
  int32_t row = call.tokens;
  while (row > 0 && growth < kLargest) {
    --row;
    for (ticks += ticks_per_row; ticks >= every.count; ticks -= every.count) growth /= decay;
  }
  return row;
}

void DecayedCounts::EndCall(Span every) {
  if (every.unit == SpanUnit::kTokens && time_ > latest_time_) {
    latest_weight_ = weight_;
    latest_time_ = time_;
  }
}

void DecayedCounts::OnRemove(ExpertKey key) {
  resident_[static_cast<size_t>(key)] = 0;
  if (cache_->history == History::kResident) counts_[static_cast<size_t>(key)] = 0;
}

void DecayedCounts::Rescale() {
  constexpr double kScale = 1 / kLargest;
  for (double& count : counts_) count *= kScale;
  for (double* weight : {&weight_, &step_weight_, &latest_weight_}) *weight *= kScale;
}

}  // namespace sluice
