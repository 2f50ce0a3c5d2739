// What a clock or the operating system said at the begin of a step, for policies that ask. A trace
// records it, so that a replay reads the same.
#pragma once

namespace sluice {

struct ClockReadings {
  double seconds = 0;            // since the run began
  double stall_ms = 0;           // of the step before
  double tokens_per_second = 0;  // of the step before
  double slow_mbps = 0;          // of expert reads so far, while some were under way
  double queue_depth = 0;        // reads that wait
  double free_memory_bytes = 0;
};

}  // namespace sluice
