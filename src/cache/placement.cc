#include "cache/placement.h"

#include <algorithm>

namespace sluice {
namespace {

PlacementTimes Resolve(const ScheduleSpec& schedule, const PlacementTimes& measured) {
  return {.cpu_ms_per_token = schedule.cpu_ms_per_token.value_or(measured.cpu_ms_per_token),
          .cpu_ms_fixed = schedule.cpu_ms_fixed.value_or(measured.cpu_ms_fixed),
          .gpu_ms_per_token = schedule.gpu_ms_per_token.value_or(measured.gpu_ms_per_token),
          .gpu_ms_fixed = schedule.gpu_ms_fixed.value_or(measured.gpu_ms_fixed),
          .transfer_ms = schedule.transfer_ms.value_or(measured.transfer_ms)};
}

// The two ends of the list approach each other; whoever would finish the next expert at its end
// earlier takes it. Transfers follow each other on one link.
void Greedy(const PlacementTimes& times, std::span<const Demand> demands,
            std::span<const uint8_t> resident, std::span<const int32_t> order,
            std::span<Where> where) {
  double gpu_done = 0, link_done = 0, cpu_done = 0;
  size_t front = 0, back = order.size();
  while (front < back) {
    const auto first = static_cast<size_t>(order[front]);
    const auto last = static_cast<size_t>(order[back - 1]);
    const double arrived = resident[first] != 0 ? 0 : link_done + times.transfer_ms;
    const double gpu_end = std::max(gpu_done, arrived) + times.gpu_ms_fixed +
                           times.gpu_ms_per_token * demands[first].tokens;
    const double cpu_end =
        cpu_done + times.cpu_ms_fixed + times.cpu_ms_per_token * demands[last].tokens;
    if (gpu_end <= cpu_end || resident[last] != 0) {
      gpu_done = gpu_end;
      if (resident[first] == 0) link_done = arrived;
      ++front;
    } else {
      cpu_done = cpu_end;
      where[last] = Where::kInPlace;
      --back;
    }
  }
}

}  // namespace

void Placement::Decide(const ScheduleSpec& schedule, const PlacementTimes& measured,
                       std::span<const Demand> demands, std::span<const uint8_t> resident,
                       std::span<Where> where) {
  std::ranges::fill(where, Where::kFetch);
  const PlacementTimes times = Resolve(schedule, measured);
  const auto in_place_if = [&](auto cheaper) {
    for (size_t i = 0; i < demands.size(); ++i) {
      if (resident[i] == 0 && cheaper(demands[i].tokens)) where[i] = Where::kInPlace;
    }
  };
  switch (schedule.mode) {
    case Mode::kFetch:
    case Mode::kLayerwise:
      return;
    case Mode::kInPlace:
      return in_place_if([](int32_t) { return true; });
    case Mode::kHybrid:
      return in_place_if(
          [&](int32_t) { return times.transfer_ms > schedule.offload_threshold_ms; });
    case Mode::kCost:
      if (schedule.objective == Objective::kSum) {
        return in_place_if([&](int32_t tokens) {
          return times.cpu_ms_fixed + times.cpu_ms_per_token * tokens <
                 times.transfer_ms + times.gpu_ms_fixed + times.gpu_ms_per_token * tokens;
        });
      }
      [[fallthrough]];
    case Mode::kGreedy:
      order_.clear();
      for (size_t i = 0; i < demands.size(); ++i) order_.push_back(static_cast<int32_t>(i));
      std::ranges::stable_sort(order_, [&](int32_t a, int32_t b) {
        const auto i = static_cast<size_t>(a);
        const auto j = static_cast<size_t>(b);
        if (resident[i] != resident[j]) return resident[i] > resident[j];
        return demands[i].tokens > demands[j].tokens;
      });
      return Greedy(times, demands, resident, order_, where);
  }
}

}  // namespace sluice
