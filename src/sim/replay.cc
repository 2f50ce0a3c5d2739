// Steps, calls, decisions, and the virtual clock between them. Decisions do not see the clock.
#include "sim/replay.h"

#include <algorithm>
#include <chrono>

#include "cache/trace_future.h"

namespace sluice {
namespace {

// Every so many calls one is timed: reading the clock takes as long as a cheap decision.
constexpr uint64_t kTimedCalls = 16;
constexpr uint64_t kProgressSteps = 256;

class Replayer {
 public:
  Replayer(const Trace& trace, const ReplayOptions& options, DecisionCore* core,
           double expert_bytes)
      : trace_(trace),
        options_(options),
        core_(*core),
        model_(WithExpertBytes(options.link, expert_bytes)),
        link_(model_, core->slots()) {
    for (auto& rows : result_.rows) rows.resize(static_cast<size_t>(trace.meta.layers));
    for (const Prefetch& prefetch : core->initial()) link_.Speculate(prefetch.slot, 0);
  }

  Result<ReplayResult> Run(const ReplayProgress& progress) {
    const uint64_t end = std::min<uint64_t>(options_.end_step, trace_.steps.size());
    const uint64_t span = end > options_.first_step ? end - options_.first_step : 1;
    const uint64_t points = static_cast<uint64_t>(options_.timeline_points);
    const uint64_t stride = points > 0 ? (span + points - 1) / points : UINT64_MAX;
    for (uint64_t step = 0; step < end; ++step) {
      if (step == options_.first_step) StartCounting();
      Step(trace_.steps[step]);
      if (step >= options_.first_step && ((step - options_.first_step + 1) % stride == 0)) {
        AddPoint(step);
      }
      if (progress && step % kProgressSteps == 0 && !progress(step, end)) {
        return CancelledError("the replay was stopped");
      }
    }
    Finish(end);
    return std::move(result_);
  }

 private:
  static LinkModel WithExpertBytes(LinkModel model, double expert_bytes) {
    model.expert_bytes = expert_bytes;
    return model;
  }

  void StartCounting() {
    // Counted from the very beginning, experts that are there from the start are insertions.
    const bool whole = options_.first_step == 0;
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      for (size_t l = 0; l < static_cast<size_t>(trace_.meta.layers); ++l) {
        before_[static_cast<size_t>(phase)].push_back(
            whole ? DecisionCounts() : core_.counts(phase, static_cast<int32_t>(l)));
      }
    }
    if (!whole) totals_before_ = core_.totals();
    point_before_ = totals_before_;
    result_.stall_seconds = 0;
    for (auto& rows : result_.rows) {
      for (ReplayRow& row : rows) row.stall_seconds = 0;
    }
    start_ = now_;
    read_before_ = link_.experts_read();
  }

  void Step(const TraceStep& step) {
    const ClockReadings* readings =
        step.readings >= 0 ? &trace_.readings[static_cast<size_t>(step.readings)] : nullptr;
    core_.BeginStep(step.tokens, readings);
    phase_ = step.tokens >= core_.spec().ScheduleOf(Phase::kDecode).batch_threshold
                 ? Phase::kPrefill
                 : Phase::kDecode;
    for (uint64_t c = step.first_call; c < step.first_call + step.calls; ++c) {
      Call(trace_.calls[c]);
    }
    result_.tokens += static_cast<uint64_t>(step.tokens);
  }

  void Call(const TraceCall& call) {
    const auto top_k = static_cast<uint64_t>(trace_.meta.top_k);
    const uint64_t first = call.first_row * top_k;
    const uint64_t count = static_cast<uint64_t>(call.tokens) * top_k;
    LayerRouting routing{.layer = call.layer,
                         .tokens = call.tokens,
                         .experts = std::span(trace_.experts).subspan(first, count)};
    if (!trace_.weights.empty()) {
      routing.weights = std::span(trace_.weights).subspan(first, count);
    }
    if (call.gate >= 0) {
      const TraceGate& gate = trace_.gates[static_cast<size_t>(call.gate)];
      routing.gate = {.layer = gate.layer, .experts = gate.experts};
    }
    const Dispatch* dispatch = nullptr;
    if (calls_++ % kTimedCalls == 0) {
      const auto begin = std::chrono::steady_clock::now();
      dispatch = &core_.Begin(routing);
      decision_seconds_ +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      ++timed_calls_;
    } else {
      dispatch = &core_.Begin(routing);
    }
    Carry(call, *dispatch);
  }

  // Moves the virtual clock over one call: experts are computed as they arrive, residents first.
  void Carry(const TraceCall& call, const Dispatch& dispatch) {
    const std::span<const Demand> demands = core_.demands();
    const double dense = model_.compute_seconds * model_.dense_share;
    const double per_expert =
        (model_.compute_seconds - dense) / static_cast<double>(trace_.meta.top_k);
    const double compute = per_expert * static_cast<double>(demands.size());
    now_ += dense;  // now the router has spoken
    link_.AdvanceTo(now_);
    double here = now_;      // the device's own clock
    double in_place = now_;  // that of whoever computes in slow memory
    // In the order of the dispatch, so that a slot's next reader waits for its last computation.
    done_.clear();
    for (const Placed& placed : dispatch.experts) {
      double asked = now_;
      if (placed.after >= 0) asked = done_[static_cast<size_t>(placed.after)];
      if (placed.where == Where::kInPlace && model_.slow_is_ram) {
        in_place += model_.in_place_seconds * demands[static_cast<size_t>(placed.demand)].tokens;
        done_.push_back(in_place);
        continue;
      }
      if (placed.hit) {
        link_.Promote(placed.slot, now_);
      } else {
        link_.Demand(placed.slot, asked);
      }
      here = std::max(here, link_.arrival(placed.slot)) + per_expert;
      done_.push_back(here);
    }
    for (const Prefetch& prefetch : dispatch.prefetches) link_.Speculate(prefetch.slot, now_);
    const double end = std::max(here, in_place);
    const double stall = std::max(0.0, end - now_ - compute);
    result_.rows[static_cast<size_t>(phase_)][static_cast<size_t>(call.layer)].stall_seconds +=
        stall;
    result_.stall_seconds += stall;
    now_ = std::max(end, now_ + compute);
  }

  void AddPoint(uint64_t step) {
    const DecisionCounts totals = core_.totals();
    result_.timeline.push_back({.step = step,
                                .accesses = totals.accesses - point_before_.accesses,
                                .hits = totals.hits - point_before_.hits,
                                .stall_seconds = result_.stall_seconds - point_stall_});
    point_before_ = totals;
    point_stall_ = result_.stall_seconds;
  }

  void Finish(uint64_t end) {
    if (before_[0].empty()) StartCounting();  // the trace ended before first_step
    for (size_t p = 0; p < static_cast<size_t>(kPhases); ++p) {
      for (size_t l = 0; l < result_.rows[p].size(); ++l) {
        result_.rows[p][l].counts =
            core_.counts(static_cast<Phase>(p), static_cast<int32_t>(l)) - before_[p][l];
      }
    }
    result_.totals = core_.totals() - totals_before_;
    result_.slots = core_.slots();
    result_.staging_slots = core_.staging_slots();
    result_.steps = end > options_.first_step ? end - options_.first_step : 0;
    result_.tokens = 0;
    for (uint64_t s = options_.first_step; s < end; ++s) {
      result_.tokens += static_cast<uint64_t>(trace_.steps[s].tokens);
    }
    result_.experts_read = link_.experts_read() - read_before_;
    result_.bytes_read = result_.experts_read * model_.expert_bytes;
    result_.seconds = now_ - start_;
    result_.decision_ns =
        timed_calls_ > 0 ? decision_seconds_ * 1e9 / static_cast<double>(timed_calls_) : 0;
    result_.adapt_firings = core_.adapt_firings();
    result_.events.assign(core_.events().begin(), core_.events().end());
  }

  const Trace& trace_;
  const ReplayOptions& options_;
  DecisionCore& core_;
  const LinkModel model_;
  VirtualLink link_;
  ReplayResult result_;
  std::array<std::vector<DecisionCounts>, kPhases> before_;  // by layer, at first_step
  DecisionCounts totals_before_;
  DecisionCounts point_before_;
  double point_stall_ = 0;
  Phase phase_ = Phase::kDecode;
  double now_ = 0;
  double start_ = 0;
  double read_before_ = 0;
  uint64_t calls_ = 0;
  uint64_t timed_calls_ = 0;
  double decision_seconds_ = 0;
  std::vector<double> done_;  // by dispatch entry
};

bool NeedsFuture(const PolicySpec& policy) {
  const auto belady = [](const Eviction& eviction) {
    return eviction.primary == "belady" || eviction.second == "belady";
  };
  if (belady(policy.cache.eviction)) return true;
  return std::ranges::any_of(policy.adapt, [&](const AdaptRule& rule) {
    return std::ranges::any_of(rule.actions,
                               [&](const AdaptAction& action) { return belady(action.eviction); });
  });
}

}  // namespace

Result<ReplayResult> Replay(const Trace& trace, const PolicySpec& policy,
                            const ReplayOptions& options, const ReplayProgress& progress) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const auto top_k = static_cast<int32_t>(trace.meta.top_k);
  // Where nobody says, the size of a Qwen3-30B-A3B expert in Q4_K_M.
  constexpr double kDefaultExpertBytes = 2.65e6;
  const double expert_bytes =
      options.link.expert_bytes > 0 ? options.link.expert_bytes : kDefaultExpertBytes;
  std::optional<TraceFuture> future;
  if (NeedsFuture(policy)) future.emplace(shape, trace.calls, trace.experts, top_k);
  SLUICE_TRY_ASSIGN(
      const std::unique_ptr<DecisionCore> core,
      DecisionCore::Create(policy,
                           {.shape = shape,
                            .top_k = top_k,
                            .slots = options.slots,
                            .expert_bytes = static_cast<uint64_t>(expert_bytes),
                            .link = options.ticks,
                            .times = options.times.value_or(PlacementTimes{
                                .cpu_ms_per_token = options.link.in_place_seconds * 1e3,
                                .gpu_ms_per_token = options.link.compute_seconds * 1e3 / top_k,
                                .transfer_ms = expert_bytes / options.link.bytes_per_second * 1e3}),
                            .future = future ? &*future : nullptr,
                            .popularity = options.popularity,
                            .table = options.table}));
  return Replayer(trace, options, core.get(), expert_bytes).Run(progress);
}

}  // namespace sluice
