// What a rule costs per layer call: Qwen3-30B-A3B's shape (48 layers, 128 experts, top 8) with a
// quarter of the experts resident, choices with about the locality of its code trace. The time
// includes the plain cache around the rule; `none` shows how much that is.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/plain_caches.h"
#include "cache/trace_future.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

constexpr CacheShape kShape{.layers = 48, .experts = 128};
constexpr int32_t kTopK = 8;
constexpr int32_t kSlots = 32;
constexpr size_t kTokens = 4096;  // more than any rule remembers

// What routing looks like: of a token's experts in a layer, four go with its word (words repeat,
// few of them often), three are from a set that the layer favours and changes slowly, one is any.
// [tokens, layers, top_k]
std::vector<int32_t> Choices() {
  constexpr size_t kWords = 400;
  std::mt19937 random(1);
  const auto any = [&] { return static_cast<int32_t>(random() % kShape.experts); };
  std::vector<int32_t> of_word(kWords * kShape.layers * 4);
  for (int32_t& e : of_word) e = any();
  std::vector<std::vector<int32_t>> favoured(kShape.layers);
  for (auto& set : favoured) {
    for (int32_t i = 0; i < 20; ++i) set.push_back(any());
  }
  std::vector<int32_t> choices;
  for (size_t token = 0; token < kTokens; ++token) {
    const size_t word =
        random() % kWords * (random() % kWords) * (random() % kWords) / (kWords * kWords);
    for (size_t layer = 0; layer < favoured.size(); ++layer) {
      auto& set = favoured[layer];
      if (random() % 8 == 0) set[random() % set.size()] = any();
      std::vector<int32_t> chosen;
      const auto choose = [&](int32_t e) {
        if (std::ranges::find(chosen, e) == chosen.end()) chosen.push_back(e);
      };
      for (size_t i = 0; i < 4; ++i) choose(of_word[(word * favoured.size() + layer) * 4 + i]);
      while (chosen.size() < 7) choose(random() % 8 != 0 ? set[random() % set.size()] : any());
      while (chosen.size() < kTopK) choose(any());
      choices.insert(choices.end(), chosen.begin(), chosen.end());
    }
  }
  return choices;
}

// The first tokens of the code trace of ../shared/data/traces, or nothing.
std::vector<int32_t> RecordedChoices() {
  const std::string path = "../shared/data/traces/qwen3-30b-a3b-code.npz";
  if (!std::filesystem::exists(path)) return {};
  Result<Trace> trace = ReadTrace(path);
  if (!trace.ok()) return {};
  trace.value().experts.resize(kTokens * static_cast<size_t>(kShape.layers) * kTopK);
  return std::move(trace.value().experts);
}

void LayerCall(benchmark::State& state, const std::string& name,
               const std::vector<int32_t>& choices) {
  const CacheSpec spec;
  const auto rule =
      NewEvictionRule(name, {.shape = kShape, .top_k = kTopK, .slots = kSlots, .cache = &spec});
  PlainCaches caches(kShape, kTopK, kSlots, rule.get());
  int64_t hits = 0;
  uint64_t calls = 0;
  const auto call = [&] {
    const size_t at = calls % (kTokens * static_cast<size_t>(kShape.layers));
    hits += caches.Call(static_cast<int32_t>(calls % static_cast<size_t>(kShape.layers)),
                        std::span(choices).subspan(at * kTopK, kTopK));
    ++calls;
  };
  while (calls < 2000 * static_cast<uint64_t>(kShape.layers)) call();  // every memory is full
  hits = 0;
  const uint64_t warm = calls;
  for (auto _ : state) call();
  state.counters["hit_rate"] =
      static_cast<double>(hits) / static_cast<double>((calls - warm) * kTopK);
}

// A prefill call: 512 tokens of one layer at once.
void PrefillCall(benchmark::State& state, const std::string& name,
                 const std::vector<int32_t>& choices) {
  const CacheSpec spec;
  const auto rule =
      NewEvictionRule(name, {.shape = kShape, .top_k = kTopK, .slots = kSlots, .cache = &spec});
  PlainCaches caches(kShape, kTopK, kSlots, rule.get());
  int32_t layer = 0;
  for (auto _ : state) {
    caches.Call(layer, std::span(choices).first(512 * kTopK));
    layer = (layer + 1) % kShape.layers;
  }
}

// The hit rates of docs/eviction.md: a whole trace through caches of an eighth, a quarter and half
// of a layer's experts.
void HitRates(benchmark::State& state, const std::string& name, const Trace& trace) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const auto top_k = static_cast<int32_t>(trace.meta.top_k);
  const auto width = static_cast<size_t>(top_k);
  const CacheSpec spec;
  for (auto _ : state) {
    for (const int32_t part : {8, 4, 2}) {
      const TraceFuture future(shape, trace.calls, trace.experts, top_k);
      const int32_t slots = shape.experts / part;
      const auto rule = NewEvictionRule(
          name,
          {.shape = shape, .top_k = top_k, .slots = slots, .cache = &spec, .future = &future});
      PlainCaches caches(shape, top_k, slots, rule.get());
      int64_t hits = 0;
      for (const TraceCall& call : trace.calls) {
        const size_t at = call.first_row * width;
        const auto experts = std::span(trace.experts).subspan(at, width);
        hits += caches.Call(call.layer, experts,
                            trace.weights.empty() ? std::span<const float>()
                                                  : std::span(trace.weights).subspan(at, width));
      }
      state.counters["of_" + std::to_string(part)] =
          static_cast<double>(hits) / static_cast<double>(trace.calls.size() * width);
    }
  }
}

const int kRegistered = [] {
  static const std::vector<int32_t> kChoices = Choices();
  static const std::vector<int32_t> kRecorded = RecordedChoices();
  const auto add = [](const char* family, auto function, const std::vector<int32_t>& choices) {
    for (const std::string_view rule : EvictionRuleNames()) {
      const std::string name(rule);
      benchmark::RegisterBenchmark((family + name).c_str(), function, name, std::cref(choices));
    }
  };
  add("layer_call/", LayerCall, kChoices);
  if (!kRecorded.empty()) add("recorded_call/", LayerCall, kRecorded);
  add("prefill_512/", PrefillCall, kChoices);
  for (const std::string file :
       {"qwen3-30b-a3b-code", "qwen3-30b-a3b-general", "gpt-oss-20b-decode"}) {
    for (const std::string_view rule : EvictionRuleNames()) {
      const std::string name(rule);
      const auto run = [name, file](benchmark::State& state) {
        const Result<Trace> trace = ReadTrace("../shared/data/traces/" + file + ".npz");
        if (trace.ok()) {
          HitRates(state, name, trace.value());
        } else {
          state.SkipWithError(trace.status().message().c_str());
        }
      };
      benchmark::RegisterBenchmark(("hit_rate/" + file + "/" + name).c_str(), run)->Iterations(1);
    }
  }
  return 0;
}();

}  // namespace
}  // namespace sluice
