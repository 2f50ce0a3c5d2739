#include "cache/monitor.h"

namespace sluice {
namespace {

void AddTo(StepCounts* sum, const StepCounts& step, bool subtract) {
  const auto add = [subtract](uint64_t* to, uint64_t amount) {
    *to = subtract ? *to - amount : *to + amount;
  };
  add(&sum->tokens, step.tokens);
  add(&sum->accesses, step.accesses);
  add(&sum->hits, step.hits);
  add(&sum->demand_misses, step.demand_misses);
  add(&sum->evictions, step.evictions);
  add(&sum->prefetches_used, step.prefetches_used);
  add(&sum->prefetches_wasted, step.prefetches_wasted);
  add(&sum->repeats, step.repeats);
}

std::optional<double> Share(uint64_t part, uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void Monitor::Add(const StepCounts& step) {
  StepCounts& place = ring_[steps_ % ring_.size()];
  AddTo(&sum_, place, /*subtract=*/true);
  place = step;
  last_ = step;
  AddTo(&sum_, step, /*subtract=*/false);
  ++steps_;
}

std::optional<double> Monitor::Value(Metric metric, const Present& present) const {
  const ClockReadings* clock = present.clock;
  const auto reading = [&](double ClockReadings::*field) {
    return clock == nullptr ? std::nullopt : std::optional<double>(clock->*field);
  };
  switch (metric) {
    case Metric::kHitRate:
      return Share(sum_.hits, sum_.accesses);
    case Metric::kMissRate:
      return Share(sum_.accesses - sum_.hits, sum_.accesses);
    case Metric::kEvictionRate:
      return Share(sum_.evictions, sum_.accesses);
    case Metric::kPrefetchAccuracy:
      return Share(sum_.prefetches_used, sum_.prefetches_used + sum_.prefetches_wasted);
    case Metric::kPrefetchCoverage:
      return Share(sum_.prefetches_used, sum_.prefetches_used + sum_.demand_misses);
    case Metric::kPrefetchWaste:
      return Share(sum_.prefetches_wasted, sum_.prefetches_used + sum_.prefetches_wasted);
    case Metric::kReuse:
      return Share(sum_.repeats, sum_.accesses);
    case Metric::kMemoryPressure:
      if (present.budget_bytes <= 0) return std::nullopt;
      return present.resident_bytes / present.budget_bytes;
    case Metric::kEntropy:
      return present.entropy_bits;
    case Metric::kBatchTokens:
      return static_cast<double>(last_.tokens);
    case Metric::kStep:
      return static_cast<double>(steps_);
    case Metric::kStallMs:
      return reading(&ClockReadings::stall_ms);
    case Metric::kTokensPerSecond:
      return reading(&ClockReadings::tokens_per_second);
    case Metric::kSlowMbps:
      return reading(&ClockReadings::slow_mbps);
    case Metric::kQueueDepth:
      return reading(&ClockReadings::queue_depth);
    case Metric::kFreeMemory:
      return reading(&ClockReadings::free_memory_bytes);
  }
  return std::nullopt;
}

bool ReadsClock(Metric metric) {
  switch (metric) {
    case Metric::kStallMs:
    case Metric::kTokensPerSecond:
    case Metric::kSlowMbps:
    case Metric::kQueueDepth:
    case Metric::kFreeMemory:
      return true;
    default:
      return false;
  }
}

bool Holds(const ConditionAtom& atom, double value) {
  switch (atom.comparison) {
    case Comparison::kLess:
      return value < atom.value;
    case Comparison::kGreater:
      return value > atom.value;
    case Comparison::kLessEqual:
      return value <= atom.value;
    case Comparison::kGreaterEqual:
      return value >= atom.value;
    case Comparison::kNotEqual:
      return value != atom.value;
  }
  return false;
}

}  // namespace sluice
