// Where a missing expert is computed: in fast memory after a transfer, or where it lies.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"
#include "cache/policy_spec.h"

namespace sluice {

enum class Where { kFetch, kInPlace };

// Milliseconds that the schedule's `auto` stands for, as measured or as given to a replay.
struct PlacementTimes {
  double cpu_ms_per_token = 1;
  double cpu_ms_fixed = 0;
  double gpu_ms_per_token = 0.1;
  double gpu_ms_fixed = 0;
  double transfer_ms = 1;
};

// Decides for every demand of a call; `resident` and `where` have one entry per demand. Residents
// are always kFetch: they need no transfer, and are computed where they are.
//   kFetch, kLayerwise   every miss is brought in
//   kInPlace             no miss is
//   kHybrid              in place where a transfer takes longer than offload_threshold_ms
//   kCost                the cheaper of the two for each miss alone (objective sum: Fiddler), or
//                        whichever device would be done earlier (objective max)
//   kGreedy              residents and misses, largest first, in one list that two devices eat from
//                        its two ends (HybriMoE)
class Placement {
 public:
  void Decide(const ScheduleSpec& schedule, const PlacementTimes& measured,
              std::span<const Demand> demands, std::span<const uint8_t> resident,
              std::span<Where> where);

 private:
  std::vector<int32_t> order_;
};

}  // namespace sluice
