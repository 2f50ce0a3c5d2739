// The reference hit rates of the shared traces: figures of a separate program.
#include "sim/replay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <ostream>

#include "routing/trace_reader.h"
#include "sim/virtual_link.h"

namespace sluice {
namespace {

const char kTraces[] = "../shared/data/traces/";

PolicySpec Policy(const std::string& eviction, int32_t slots) {
  PolicySpec spec;
  spec.cache.eviction.primary = eviction;
  spec.cache.capacity = {.kind = Capacity::Kind::kSlots, .amount = static_cast<double>(slots)};
  return spec;
}

struct Reference {
  const char* trace;
  int32_t slots;
  double lru, lfu, belady;

  friend std::ostream& operator<<(std::ostream& out, const Reference& reference) {
    return out << reference.trace << ", " << reference.slots << " slots";
  }
};

class ReferenceTest : public ::testing::TestWithParam<Reference> {};

TEST_P(ReferenceTest, HitRatesAreThoseOfTheSeparateProgram) {
  const std::string path = std::string(kTraces) + GetParam().trace;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const Trace trace = ReadTrace(path).value();
  const auto rate = [&](const std::string& eviction) {
    const ReplayResult result = Replay(trace, Policy(eviction, GetParam().slots), {}).value();
    const double hits = static_cast<double>(result.totals.hits);
    std::printf("%s C=%d %s: %.4f, %.0f ns per call\n", GetParam().trace, GetParam().slots,
                eviction.c_str(), hits / static_cast<double>(result.totals.accesses),
                result.decision_ns);
    return hits / static_cast<double>(result.totals.accesses);
  };
  EXPECT_NEAR(rate("lru"), GetParam().lru, 0.00005);
  EXPECT_NEAR(rate("lfu"), GetParam().lfu, 0.00005);
  EXPECT_NEAR(rate("belady"), GetParam().belady, 0.00005);
}

INSTANTIATE_TEST_SUITE_P(
    SharedTraces, ReferenceTest,
    ::testing::Values(Reference{"qwen3-30b-a3b-code.npz", 16, 0.6568, 0.7017, 0.7746},
                      Reference{"qwen3-30b-a3b-code.npz", 32, 0.8448, 0.8635, 0.9182},
                      Reference{"qwen3-30b-a3b-code.npz", 64, 0.9629, 0.9653, 0.9831},
                      Reference{"qwen3-30b-a3b-general.npz", 16, 0.6019, 0.6312, 0.7322},
                      Reference{"qwen3-30b-a3b-general.npz", 32, 0.7866, 0.8048, 0.8895},
                      Reference{"qwen3-30b-a3b-general.npz", 64, 0.9518, 0.9551, 0.9792},
                      Reference{"gpt-oss-20b-decode.npz", 8, 0.6474, 0.6892, 0.7704},
                      Reference{"gpt-oss-20b-decode.npz", 16, 0.8944, 0.9128, 0.9490}));

// A trace of one layer whose steps are the given calls, one token each.
Trace OneLayer(int32_t experts, int32_t top_k, const std::vector<std::vector<int32_t>>& calls) {
  Trace trace;
  trace.meta = {.layers = 1, .experts = experts, .top_k = top_k};
  for (const auto& call : calls) {
    trace.steps.push_back({.first_call = trace.calls.size(), .calls = 1, .tokens = 1});
    trace.calls.push_back({.layer = 0, .tokens = 1, .first_row = trace.calls.size()});
    trace.experts.insert(trace.experts.end(), call.begin(), call.end());
  }
  trace.conversations = {0};
  return trace;
}

// 1 ms per expert on the link, 2 ms of computing per call (1 ms per expert).
ReplayOptions Slow() {
  ReplayOptions options;
  options.link = {.bytes_per_second = 1e6,
                  .latency_seconds = 0,
                  .expert_bytes = 1e3,
                  .compute_seconds = 2e-3,
                  .dense_share = 0};
  return options;
}

TEST(ReplayTest, AMissStallsForWhatComputingDoesNotHide) {
  // First call: both experts are missing; they arrive at 1 and 2 ms, are computed until 3 ms: 1 ms
  // more than computing takes. Second: both are there. Third: one is there and hides the other.
  const Trace trace = OneLayer(8, 2, {{0, 1}, {1, 0}, {1, 2}});
  const ReplayResult result = Replay(trace, Policy("lru", 4), Slow()).value();
  EXPECT_NEAR(result.stall_seconds, 1e-3, 1e-9);
  EXPECT_NEAR(result.seconds, 7e-3, 1e-9);
  EXPECT_EQ(result.experts_read, 3);
  EXPECT_EQ(result.bytes_read, 3e3);
  EXPECT_EQ(result.totals.demand_misses, 3U);
}

TEST(ReplayTest, BeforeTheRouterSpeaksNothingIsDemanded) {
  // As above, but half of each call comes before its router: the first call's experts arrive at 2
  // and 3 ms and are computed in half a millisecond each; the third's miss hides behind one such.
  ReplayOptions options = Slow();
  options.link.dense_share = 0.5;
  const Trace trace = OneLayer(8, 2, {{0, 1}, {1, 0}, {1, 2}});
  const ReplayResult result = Replay(trace, Policy("lru", 4), options).value();
  EXPECT_NEAR(result.stall_seconds, 1.5e-3 + 0.5e-3, 1e-9);
  EXPECT_NEAR(result.seconds, 6e-3 + 2e-3, 1e-9);
}

// A link that carries a part of an expert in 1 s, and nothing asks for latency.
TEST(VirtualLinkTest, AGuessGivesWayBetweenItsParts) {
  VirtualLink link({.bytes_per_second = 1, .latency_seconds = 0, .expert_bytes = 3}, 4);
  link.Speculate(0, 0);
  link.AdvanceTo(1.5);  // its second part is under way, and ends at 2
  link.Demand(1, 1.5);
  EXPECT_DOUBLE_EQ(link.arrival(1), 5);
  link.AdvanceTo(5.5);  // the last part, from 5 to 6
  EXPECT_DOUBLE_EQ(link.arrival(0), 6);
  EXPECT_DOUBLE_EQ(link.experts_read(), 2);
}

TEST(VirtualLinkTest, WhatAGuessLacksIsDemanded) {
  VirtualLink link({.bytes_per_second = 1, .latency_seconds = 0, .expert_bytes = 3}, 4);
  link.Speculate(0, 0);
  link.Speculate(1, 0);
  link.AdvanceTo(0.5);   // one part of the first
  link.Promote(1, 0.5);  // overtakes the rest of it
  EXPECT_DOUBLE_EQ(link.arrival(1), 4);
  link.Promote(0, 0.5);
  EXPECT_DOUBLE_EQ(link.arrival(0), 6);
  link.Promote(0, 7);  // is there already
  EXPECT_DOUBLE_EQ(link.arrival(0), 6);
  EXPECT_DOUBLE_EQ(link.experts_read(), 2);
}

TEST(ReplayTest, CountsBeginWhereTheyAreAskedTo) {
  const Trace trace = OneLayer(8, 2, {{0, 1}, {1, 0}, {1, 2}, {0, 2}});
  ReplayOptions options = Slow();
  options.first_step = 2;
  options.timeline_points = 2;
  const ReplayResult result = Replay(trace, Policy("lru", 4), options).value();
  EXPECT_EQ(result.tokens, 2U);
  EXPECT_EQ(result.totals.accesses, 4U);
  EXPECT_EQ(result.totals.hits, 3U);
  EXPECT_EQ(result.experts_read, 1);
  ASSERT_EQ(result.timeline.size(), 2U);
  EXPECT_EQ(result.timeline[0].hits, 1U);
  EXPECT_EQ(result.timeline[1].hits, 2U);
}

TEST(ReplayTest, InPlaceInRamNeedsNoTransfer) {
  PolicySpec policy = Policy("lru", 4);
  policy.cache.admission = Admission::kNever;
  policy.schedule[0].mode = Mode::kInPlace;
  ReplayOptions options = Slow();
  options.link.slow_is_ram = true;
  options.link.in_place_seconds = 3e-3;
  const ReplayResult result = Replay(OneLayer(8, 2, {{0, 1}, {2, 3}}), policy, options).value();
  EXPECT_EQ(result.experts_read, 0);
  EXPECT_EQ(result.totals.in_place, 4U);
  EXPECT_NEAR(result.seconds, 12e-3, 1e-9);
}

}  // namespace
}  // namespace sluice
