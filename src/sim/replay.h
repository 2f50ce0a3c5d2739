// A recorded run under another policy: the engine's decision core on a trace, with a virtual link
// in place of the disk.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/decision_core.h"
#include "cache/policy_spec.h"
#include "routing/trace_data.h"
#include "sim/virtual_link.h"
#include "sluice/status.h"

namespace sluice {

struct ReplayOptions {
  LinkModel link;
  // Slots there are at most, staging included; what `capacity = auto` divides.
  int64_t slots = int64_t{1} << 30;
  LinkTicks ticks;  // for `budget = idle`
  // What `auto` stands for in `schedule`; unset: computed from `link`.
  std::optional<PlacementTimes> times;
  uint64_t first_step = 0;  // decisions are made from step 0 on, counts begin here
  uint64_t end_step = UINT64_MAX;
  int64_t timeline_points = 0;  // > 0: how many points ReplayResult::timeline should have at most
  std::vector<double> popularity;  // for `init = profile`
  std::string table;               // content of a prefetch table
};

// One layer in one phase.
struct ReplayRow {
  DecisionCounts counts;
  double stall_seconds = 0;
};

struct TimelinePoint {
  uint64_t step = 0;  // the last one that is in it
  uint64_t accesses = 0;
  uint64_t hits = 0;
  double stall_seconds = 0;
};

struct ReplayResult {
  int64_t slots = 0;  // that the policy used
  int64_t staging_slots = 0;
  uint64_t steps = 0;
  uint64_t tokens = 0;
  DecisionCounts totals;
  std::array<std::vector<ReplayRow>, kPhases> rows;  // by layer
  double experts_read = 0;                           // demanded or guessed
  double bytes_read = 0;
  double seconds = 0;        // on the virtual clock
  double stall_seconds = 0;  // of which computing waited
  double decision_ns = 0;    // per layer call, measured
  uint64_t adapt_firings = 0;
  std::vector<AdaptEvent> events;
  std::vector<TimelinePoint> timeline;
};

// Called now and then; false stops the replay with kCancelled.
using ReplayProgress = std::function<bool(uint64_t step, uint64_t steps)>;

// REQUIRES: a trace as ReadTrace gives it.
Result<ReplayResult> Replay(const Trace& trace, const PolicySpec& policy,
                            const ReplayOptions& options, const ReplayProgress& progress = {});

}  // namespace sluice
