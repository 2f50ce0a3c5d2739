// The metrics that rules of `adapt` read: sums over the last steps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/policy_spec.h"
#include "routing/clock_readings.h"

namespace sluice {

// What happened in one step.
struct StepCounts {
  uint64_t tokens = 0;
  uint64_t accesses = 0;
  uint64_t hits = 0;
  uint64_t demand_misses = 0;
  uint64_t evictions = 0;
  uint64_t prefetches_used = 0;
  uint64_t prefetches_wasted = 0;
  uint64_t repeats = 0;  // accesses to experts that the layer also chose in the step before
};

class Monitor {
 public:
  // `window`: steps that a metric looks back on (>= 1).
  explicit Monitor(int64_t window) : ring_(static_cast<size_t>(window)) {}

  void Add(const StepCounts& step);
  // What the window cannot know.
  struct Present {
    double resident_bytes = 0;
    double budget_bytes = 0;
    double entropy_bits = 0;
    const ClockReadings* clock = nullptr;
  };
  // nullopt: nothing to tell yet (a rate of nothing, no clock).
  std::optional<double> Value(Metric metric, const Present& present) const;

  uint64_t steps() const { return steps_; }
  const StepCounts& last() const { return last_; }

 private:
  std::vector<StepCounts> ring_;
  StepCounts sum_;  // over the ring
  StepCounts last_;
  uint64_t steps_ = 0;
};

// Whether a metric comes from a clock or the operating system, so that a trace has to record it.
bool ReadsClock(Metric metric);
bool Holds(const ConditionAtom& atom, double value);

}  // namespace sluice
