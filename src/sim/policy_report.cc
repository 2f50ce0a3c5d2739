#include "sim/policy_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr int64_t kTimelinePoints = 120;

// With all of the memory, whatever the policy says itself: what is compared gets the same.
PolicySpec WithAllMemory(PolicySpec spec) {
  spec.cache.capacity = {.kind = Capacity::Kind::kAuto, .amount = 0};
  return spec;
}

PreparedPolicy Bound() {
  PreparedPolicy bound;
  bound.spec.name = "belady";
  bound.spec.cache.eviction.primary = "belady";
  return bound;
}

double PerToken(double amount, const ReplayResult& result) {
  return result.tokens == 0 ? 0 : amount / static_cast<double>(result.tokens);
}

ReplayOptions OptionsOf(const PreparedPolicy& policy, ReplayOptions options) {
  options.popularity = policy.popularity;
  options.table = policy.table;
  return options;
}

class PolicyFigures {
 public:
  PolicyFigures(const Trace& trace, const ReplayOptions& options, HtmlReport* report)
      : trace_(trace), options_(options), report_(*report) {}

  Status Draw(std::vector<PreparedPolicy> policies) {
    policies.push_back(Bound());
    SLUICE_TRY(DrawCapacities(policies));
    policies.pop_back();
    return DrawTimelines(policies);
  }

 private:
  Status DrawCapacities(const std::vector<PreparedPolicy>& policies) {
    LineChart hits{
        .text = {.title = "Hit rate by memory",
                 .help = "Higher is better; the dashed line knows the future, so nothing that only "
                         "evicts can be above it. The steep part on the left is where a little "
                         "more memory, or a better policy, saves most.",
                 .x_axis = "expert slots per layer",
                 .y_axis = "hits, share of accesses"},
        .y_unit = ChartUnit::kPercent};
    LineChart stalls{
        .text = {.title = "Waiting for experts by memory",
                 .help = fmt::format(
                     "Lower is better: time per token in which nothing could be computed, on a "
                     "link of {:.1f} GB/s with {:.1f} MB per expert and {:.1f} ms of computing per "
                     "layer.",
                     options_.link.bytes_per_second / 1e9, options_.link.expert_bytes / 1e6,
                     options_.link.compute_seconds * 1e3),
                 .x_axis = "expert slots per layer",
                 .y_axis = "stall, ms per token"}};
    for (const PreparedPolicy& policy : policies) {
      const bool bound = policy.spec.name == "belady";
      ChartSeries hit{.name = policy.spec.name, .dashed = bound};
      ChartSeries stall = hit;
      for (int64_t eighth = 1; eighth <= 7; ++eighth) {
        const int64_t slots = trace_.meta.experts * eighth / 8;
        if (slots < 1) continue;
        ReplayOptions options = OptionsOf(policy, options_);
        options.slots = slots * trace_.meta.layers;
        SLUICE_TRY_ASSIGN(const ReplayResult result,
                          Replay(trace_, WithAllMemory(policy.spec), options));
        const auto x = static_cast<double>(slots);
        hit.points.emplace_back(x, static_cast<double>(result.totals.hits) /
                                       static_cast<double>(result.totals.accesses));
        stall.points.emplace_back(x, 1e3 * PerToken(result.stall_seconds, result));
      }
      hits.series.push_back(std::move(hit));
      stalls.series.push_back(std::move(stall));
    }
    report_.AddFigure(DrawLines(hits));
    report_.AddFigure(DrawLines(stalls));
    return {};
  }

  Status DrawTimelines(const std::vector<PreparedPolicy>& policies) {
    const int64_t slots = std::max<int64_t>(1, trace_.meta.experts / 4);
    Timeline timeline{
        .text = {.title = fmt::format("Hits over time, {} slots per layer", slots),
                 .help = "Each point is a stretch of the trace; dips are changes of subject. Marks "
                         "are rules of adapt that fired.",
                 .x_axis = "step",
                 .y_axis = "hits, share of accesses"},
        .y_unit = ChartUnit::kPercent};
    for (const PreparedPolicy& policy : policies) {
      ReplayOptions options = OptionsOf(policy, options_);
      options.slots = slots * trace_.meta.layers;
      options.timeline_points = kTimelinePoints;
      SLUICE_TRY_ASSIGN(const ReplayResult result,
                        Replay(trace_, WithAllMemory(policy.spec), options));
      ChartSeries series{.name = policy.spec.name};
      for (const TimelinePoint& point : result.timeline) {
        if (point.accesses == 0) continue;
        series.points.emplace_back(
            static_cast<double>(point.step),
            static_cast<double>(point.hits) / static_cast<double>(point.accesses));
      }
      timeline.series.push_back(std::move(series));
      for (const AdaptEvent& event : result.events) {
        timeline.events.push_back(
            {.x = static_cast<double>(event.step),
             .label = fmt::format("{}: rule {} {}", policy.spec.name, event.rule + 1, event.what)});
      }
    }
    report_.AddFigure(DrawTimeline(timeline));
    return {};
  }

  const Trace& trace_;
  const ReplayOptions& options_;
  HtmlReport& report_;
};

}  // namespace

Status AddPolicyFigures(const Trace& trace, const std::vector<PreparedPolicy>& policies,
                        const ReplayOptions& options, HtmlReport* report) {
  return PolicyFigures(trace, options, report).Draw(policies);
}

}  // namespace sluice
