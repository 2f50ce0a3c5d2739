// What deciding costs: expert accesses replayed per second, and nanoseconds per layer call, for
// every eviction rule and for policies that prefetch.
//
//   build/release/src/sim_bench --benchmark_min_time=0.2
//
// Uses the shared Qwen3-30B-A3B trace (48 layers, 128 experts, top-8) at a quarter of the experts,
// and the embedded model's own trace where that is absent. One core.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "cache/eviction.h"
#include "routing/trace_reader.h"
#include "sim/replay.h"

namespace sluice {
namespace {

const Trace& BenchTrace() {
  static const Trace trace = [] {
    for (const char* path :
         {"../shared/data/traces/qwen3-30b-a3b-code.npz", "models/rill/trace.jsonl"}) {
      if (std::filesystem::exists(path)) return ReadTrace(path).value();
    }
    return Trace();
  }();
  return trace;
}

void ReplayPolicy(benchmark::State& state, const PolicySpec& policy) {
  const Trace& trace = BenchTrace();
  if (trace.calls.empty()) {
    state.SkipWithError("run it from the project's root: no trace found");
    return;
  }
  ReplayOptions options;
  options.slots = trace.meta.layers * (trace.meta.experts / 4);
  uint64_t accesses = 0;
  double decision_ns = 0;
  for (auto _ : state) {
    const ReplayResult result = Replay(trace, policy, options).value();
    accesses += result.totals.accesses;
    decision_ns += result.decision_ns;
  }
  state.counters["accesses/s"] =
      benchmark::Counter(static_cast<double>(accesses), benchmark::Counter::kIsRate);
  state.counters["decision_ns"] = decision_ns / static_cast<double>(state.iterations());
}

void RegisterAll() {
  for (const std::string_view name : EvictionRuleNames()) {
    PolicySpec policy;
    policy.name = std::string(name);
    policy.cache.eviction.primary = std::string(name);
    if (name == "none") policy.cache.admission = Admission::kNever;
    benchmark::RegisterBenchmark(("eviction/" + policy.name).c_str(), ReplayPolicy, policy)
        ->Unit(benchmark::kMillisecond);
  }
}

[[maybe_unused]] const bool registered = (RegisterAll(), true);

}  // namespace
}  // namespace sluice
