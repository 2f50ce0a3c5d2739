// Predictors: what a call costs, and what guesses are worth. Run from the project's root; the
// second part needs the traces of ../shared, and goes through each once.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/plain_caches.h"
#include "cache/prefetch.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

const std::vector<std::vector<std::string>> kLists = {
    {"history"},
    {"affinity"},
    {"klotski"},
    {"lookahead"},
    {"score"},
    {"gate"},
    {"pattern"},
    {"similar"},
    {"learned"},
    {"affinity", "history"},
    {"affinity", "similar", "history"},
    {"learned", "similar"},
    {"learned", "similar", "history"},
};

std::string Name(const std::vector<std::string>& list) {
  std::string name;
  for (const std::string& part : list) name += (name.empty() ? "" : "+") + part;
  return name;
}

// 48 layers, 128 experts, top-8, one token per call: Observe and Predict for the next layer.
// Routing with a topic that lasts, since the cost of `similar` depends on how much is similar.
void BM_Predict(benchmark::State& state, const std::vector<std::string>& list) {
  constexpr CacheShape kShape = {.layers = 48, .experts = 128};
  constexpr int32_t kTopK = 8;
  constexpr size_t kTokens = 512;
  std::mt19937 random(1);
  std::vector<int32_t> experts;
  for (size_t call = 0; call < kTokens * 48; ++call) {
    const size_t first = experts.size();
    while (experts.size() < first + kTopK) {
      const auto topic = static_cast<int32_t>(call / 48 / 40 * 11);
      const auto e = static_cast<int32_t>(
          random() % 3 != 0 ? (topic + static_cast<int32_t>(random() % 12)) % 128 : random() % 128);
      if (std::find(experts.begin() + static_cast<std::ptrdiff_t>(first), experts.end(), e) ==
          experts.end()) {
        experts.push_back(e);
      }
    }
  }
  PrefetchSpec spec;
  spec.strategies = list;
  spec.store = 1500;
  const CacheSpec cache;
  const auto predictor = NewPredictor(
      std::span(list), {.shape = kShape, .top_k = kTopK, .prefetch = &spec, .cache = &cache});
  std::vector<float> said(128);
  std::vector<Demand> demands(kTopK);
  std::vector<Likely> guess(16);
  uint64_t number = 0;
  const auto next = [&] {
    const size_t at = number % (kTokens * 48);
    const auto layer = static_cast<int32_t>(at % 48);
    const auto choice = std::span<const int32_t>(experts).subspan(at * kTopK, kTopK);
    for (int32_t k = 0; k < kTopK; ++k) demands[k] = {.expert = choice[k], .tokens = 1};
    for (int32_t i = 0; i < 16; ++i)
      guess[i] = {.expert = (choice[0] + i) % 128, .probability = 0.3F};
    const LayerCall call{.layer = layer,
                         .tokens = 1,
                         .top_k = kTopK,
                         .experts = choice,
                         .gate = {.layer = (layer + 1) % 48, .experts = guess},
                         .demands = demands,
                         .step = number / 48,
                         .call = number};
    ++number;
    predictor->Observe(call);
    predictor->Predict(call, (layer + 1) % 48, 1, said);
    benchmark::DoNotOptimize(said.data());
  };
  while (number < 2000 * 48) next();  // until memories are full
  for (auto _ : state) next();
}

// At most `budget` absent experts of the next layer whose probability is at least `threshold` are
// staged; they serve the next call or nothing.
struct Plan {
  int32_t budget = 0;
  float threshold = 0;
  std::vector<int32_t> staged;
  int64_t loads = 0;
  int64_t used = 0;
};

// Share of the demand misses that guesses spare, and wasted loads as a share of the same, in
// percent. The cache has a quarter of the experts under `gap` (LRU where there is no such rule).
void BM_Guesses(benchmark::State& state, const std::string& path,
                const std::vector<std::string>& list) {
  const Result<Trace> trace = ReadTrace(path);
  if (!trace.ok()) {
    state.SkipWithError(trace.status().message().c_str());
    return;
  }
  const CacheShape shape{.layers = static_cast<int32_t>(trace->meta.layers),
                         .experts = static_cast<int32_t>(trace->meta.experts)};
  const auto top_k = static_cast<int32_t>(trace->meta.top_k);
  PrefetchSpec spec;
  spec.strategies = list;
  spec.store = 1500;
  spec.affinity_threshold = 0;
  const CacheSpec cache;
  std::array<Plan, 7> plans = {Plan{1, 0}, {2, 0},    {2, 0.27F}, {2, 0.5F},
                               {8, 0.5F},  {8, 0.6F}, {8, 0.7F}};
  int64_t misses = 0;
  for (auto _ : state) {
    const auto rule = NewEvictionRule(
        "gap", {.shape = shape, .top_k = top_k, .slots = shape.experts / 4, .cache = &cache});
    PlainCaches caches(shape, top_k, shape.experts / 4, rule.get());
    const auto predictor = NewPredictor(
        std::span(list), {.shape = shape, .top_k = top_k, .prefetch = &spec, .cache = &cache});
    std::vector<float> said(static_cast<size_t>(shape.experts));
    std::vector<Demand> demands(static_cast<size_t>(top_k));
    std::vector<char> resident(said.size());
    std::vector<int32_t> absent;
    for (uint64_t i = 0; i < trace->calls.size(); ++i) {
      const TraceCall& traced = trace->calls[i];
      const size_t first = traced.first_row * static_cast<size_t>(top_k);
      const auto choice = std::span(trace->experts).subspan(first, static_cast<size_t>(top_k));
      for (size_t k = 0; k < demands.size(); ++k) demands[k] = {.expert = choice[k], .tokens = 1};
      LayerCall call{.layer = traced.layer,
                     .tokens = 1,
                     .top_k = top_k,
                     .experts = choice,
                     .demands = demands,
                     .step = i / static_cast<uint64_t>(shape.layers),
                     .call = i};
      if (!trace->weights.empty()) {
        call.weights = std::span(trace->weights).subspan(first, static_cast<size_t>(top_k));
      }
      resident.assign(resident.size(), 0);
      for (const ExpertKey key : caches.residents(call.layer))
        resident[IdOf(shape, key).expert] = 1;
      for (const int32_t e : choice) {
        if (resident[e] != 0) continue;
        ++misses;
        for (Plan& plan : plans) plan.used += std::ranges::count(plan.staged, e);
      }
      caches.Call(call.layer, choice, call.weights);
      predictor->Observe(call);
      const int32_t next = (call.layer + 1) % shape.layers;
      predictor->Predict(call, next, 1, said);
      resident.assign(resident.size(), 0);
      for (const ExpertKey key : caches.residents(next)) resident[IdOf(shape, key).expert] = 1;
      absent.clear();
      for (int32_t e = 0; e < shape.experts; ++e) {
        if (resident[e] == 0) absent.push_back(e);
      }
      std::ranges::stable_sort(absent, [&](int32_t a, int32_t b) { return said[a] > said[b]; });
      for (Plan& plan : plans) {
        plan.staged.clear();
        for (int32_t n = 0; n < plan.budget && said[absent[n]] >= plan.threshold; ++n) {
          plan.staged.push_back(absent[n]);
        }
        plan.loads += static_cast<int64_t>(plan.staged.size());
      }
    }
  }
  const double percent = 100.0 / static_cast<double>(misses);
  state.counters["misses/call"] =
      static_cast<double>(misses) / static_cast<double>(trace->calls.size());
  for (const Plan& plan : plans) {
    const std::string name = "b" + std::to_string(plan.budget) + ",p" +
                             std::to_string(static_cast<int>(100 * plan.threshold + 0.5F));
    state.counters[name + "-spared%"] = static_cast<double>(plan.used) * percent;
    state.counters[name + "-wasted%"] = static_cast<double>(plan.loads - plan.used) * percent;
  }
}

// Benchmarks are registered before main, which is benchmark's.
const bool kRegistered = [] {
  for (const std::vector<std::string>& list : kLists) {
    benchmark::RegisterBenchmark(("BM_Predict/" + Name(list)).c_str(),
                                 [list](benchmark::State& state) { BM_Predict(state, list); });
  }
  for (const std::string trace :
       {"qwen3-30b-a3b-code", "qwen3-30b-a3b-general", "gpt-oss-20b-decode"}) {
    const std::string path = "../shared/data/traces/" + trace + ".npz";
    if (!std::filesystem::exists(path)) continue;
    for (const std::vector<std::string>& list : kLists) {
      if (list[0] == "gate") continue;  // no trace has its guesses
      benchmark::RegisterBenchmark(
          ("BM_Guesses/" + trace + "/" + Name(list)).c_str(),
          [path, list](benchmark::State& state) { BM_Guesses(state, path, list); })
          ->Iterations(1)
          ->Unit(benchmark::kSecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace sluice
