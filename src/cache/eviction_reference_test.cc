// The rules on recorded routing. Witnesses: the hit rates of ../shared/data/traces/README.md and of
// ../shared/notes/eviction.md, which other programs gave; the cache below is the definition there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/plain_caches.h"
#include "cache/trace_future.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

// Read once per run of the program.
const Trace* ReadShared(const std::string& name) {
  static std::map<std::string, Trace> read;
  if (const auto known = read.find(name); known != read.end()) return &known->second;
  const std::string path = "../shared/data/traces/" + name + ".npz";
  if (!std::filesystem::exists(path)) return nullptr;
  Result<Trace> trace = ReadTrace(path);
  EXPECT_TRUE(trace.ok()) << trace.status().message();
  if (!trace.ok()) return nullptr;
  return &(read[name] = *std::move(trace));
}

double HitRate(const Trace& trace, const std::string& rule_name, int32_t slots, CacheSpec spec) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const auto top_k = static_cast<int32_t>(trace.meta.top_k);
  const TraceFuture future(shape, trace.calls, trace.experts, top_k);
  const auto rule = NewEvictionRule(
      rule_name,
      {.shape = shape, .top_k = top_k, .slots = slots, .cache = &spec, .future = &future});
  PlainCaches caches(shape, top_k, slots, rule.get());
  const auto width = static_cast<size_t>(top_k);
  int64_t hits = 0;
  for (const TraceCall& call : trace.calls) {
    EXPECT_EQ(call.tokens, 1);
    const auto rows = [&](auto& all) {
      return std::span(all).subspan(call.first_row * width, width);
    };
    hits += caches.Call(call.layer, rows(trace.experts),
                        trace.weights.empty() ? std::span<const float>() : rows(trace.weights));
  }
  return static_cast<double>(hits) / static_cast<double>(trace.calls.size() * width);
}

struct Trial {
  std::string rule;
  std::string trace;
  std::vector<std::pair<int32_t, double>> hit_rates;  // by slots
  double tolerance = 0.00005;                         // four digits
  CacheSpec spec = {};
};
void PrintTo(const Trial& trial, std::ostream* out) { *out << trial.rule << " on " << trial.trace; }
const char* const kCode = "qwen3-30b-a3b-code";
const char* const kGeneral = "qwen3-30b-a3b-general";
const char* const kGptOss = "gpt-oss-20b-decode";

// A sanitizer makes the long computations ten times as long; their kernels have tests of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSlowBuild = true;
#else
constexpr bool kSlowBuild = false;
#endif

class EvictionReferenceTest : public testing::TestWithParam<Trial> {};

TEST_P(EvictionReferenceTest, HitRatesAreThoseOfAnotherProgram) {
  const Trial& trial = GetParam();
  const Trace* trace = ReadShared(trial.trace);
  if (trace == nullptr) GTEST_SKIP() << "needs ../shared/data/traces/" << trial.trace << ".npz";
  if (kSlowBuild && (trial.rule == "memory" || trial.rule == "learned")) {
    GTEST_SKIP() << "takes minutes with a sanitizer";
  }
  for (const auto& [slots, expected] : trial.hit_rates) {
    const double rate = HitRate(*trace, trial.rule, slots, trial.spec);
    EXPECT_NEAR(rate, expected, trial.tolerance) << slots << " slots";
  }
}

std::vector<Trial> Trials() {
  std::vector<Trial> trials;
  const auto add = [&](const char* rule, std::vector<double> code, std::vector<double> general,
                       std::vector<double> gpt_oss, double tolerance = 0.00005,
                       const CacheSpec& spec = {}) {
    trials.push_back({rule, kCode, {{16, code[0]}, {32, code[1]}, {64, code[2]}}, tolerance, spec});
    trials.push_back(
        {rule, kGeneral, {{16, general[0]}, {32, general[1]}, {64, general[2]}}, tolerance, spec});
    trials.push_back({rule, kGptOss, {{8, gpt_oss[0]}, {16, gpt_oss[1]}}, tolerance, spec});
  };
  add("lru", {.6568, .8448, .9629}, {.6019, .7866, .9518}, {.6474, .8944});
  add("lfu", {.7017, .8635, .9653}, {.6312, .8048, .9551}, {.6892, .9128});
  add("belady", {.7746, .9182, .9831}, {.7322, .8895, .9792}, {.7704, .9490});
  CacheSpec slow;
  slow.frequency_decay = 0.97;
  add("lfu", {.7018, .8646, .9662}, {.6301, .8051, .9570}, {.6885, .9134}, .00005, slow);
  add("lfru", {.7036, .8658, .9660}, {.6346, .8081, .9563}, {.6911, .9139}, .00005, slow);
  add("gap", {.7034, .8670, .9675}, {.6346, .8101, .9596}, {.6911, .9147});
  add("sieve", {.6784, .8562, .9649}, {.6162, .7974, .9563}, {.6657, .9055});
  // Sums of floats in another order: two decimals of a percent.
  add("memory", {.7214, .8806, .9704}, {.6553, .8285, .9629}, {.7166, .9225}, .0001);
  add("learned", {.7254, .8818, .9717}, {.6617, .8324, .9644}, {.7242, .9248}, .0001);
  // The note names these, but not all that belongs to them (what a call does to the queues): a
  // fifth of a percent.
  add("s3fifo", {.6882, .8573, .9656}, {.6231, .7971, .9567}, {.6736, .9077}, .002);
  add("arc", {.6673, .8487, .9630}, {.6103, .7907, .9519}, {.6537, .8946}, .002);
  return trials;
}

INSTANTIATE_TEST_SUITE_P(Traces, EvictionReferenceTest, testing::ValuesIn(Trials()),
                         [](const testing::TestParamInfo<Trial>& trial) {
                           std::string name = std::to_string(trial.index) + "_" + trial.param.rule +
                                              "_" + trial.param.trace;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace sluice
