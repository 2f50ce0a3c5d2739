// Reuse distances against the hit rates of LRU that a separate program found
// (../shared/data/traces/README.md). tests/trace_test.py has the other figures from NumPy.
#include "sim/trace_statistics.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "routing/trace_reader.h"

namespace sluice {
namespace {

struct LruReference {
  const char* file;
  size_t slots;
  double hit_rate;
};

// LRU holds what has been chosen last, so its hits can be read off the reuse distances.
TEST(TraceStatisticsTest, ReuseDistancesGiveTheReferenceHitRatesOfLru) {
  const std::string folder = "../shared/data/traces/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  const LruReference references[] = {{"qwen3-30b-a3b-code.npz", 16, 0.6568},
                                     {"qwen3-30b-a3b-code.npz", 32, 0.8448},
                                     {"qwen3-30b-a3b-code.npz", 64, 0.9629},
                                     {"gpt-oss-20b-decode.npz", 8, 0.6474},
                                     {"gpt-oss-20b-decode.npz", 16, 0.8944}};
  std::string opened;
  OverallStatistics all;
  for (const LruReference& reference : references) {
    if (opened != reference.file) {
      const Result<Trace> trace = ReadTrace(folder + reference.file);
      ASSERT_TRUE(trace.ok()) << trace.status().message();
      const Result<TraceStatistics> statistics = ComputeTraceStatistics(*trace);
      ASSERT_TRUE(statistics.ok()) << statistics.status().message();
      all = Overall(*statistics);
      opened = reference.file;
    }
    uint64_t choices = all.first_choices;
    uint64_t hits = 0;
    for (size_t d = 0; d < all.reuse.size(); ++d) {
      choices += all.reuse[d];
      if (d < reference.slots) hits += all.reuse[d];
    }
    EXPECT_NEAR(static_cast<double>(hits) / static_cast<double>(choices), reference.hit_rate, 5e-5)
        << reference.file << " at " << reference.slots;
  }
}

// Two experts in turn, of four: everything can be said by heart.
TEST(TraceStatisticsTest, AlternatingExperts) {
  Trace trace;
  trace.meta = {.layers = 2, .experts = 4, .top_k = 1};
  for (int32_t t = 0; t < 64; ++t) {
    trace.steps.push_back({.first_call = trace.calls.size(), .calls = 2, .tokens = 1});
    for (int32_t layer = 0; layer < 2; ++layer) {
      trace.calls.push_back({.layer = layer, .tokens = 1, .first_row = trace.experts.size()});
      trace.experts.push_back(2 * layer + t % 2);
    }
  }
  trace.conversations = {0};
  const Result<TraceStatistics> statistics = ComputeTraceStatistics(trace);
  ASSERT_TRUE(statistics.ok());
  const LayerStatistics& layer = statistics->layers[1];
  EXPECT_EQ(layer.counts, (std::vector<uint64_t>{0, 0, 32, 32}));
  EXPECT_DOUBLE_EQ(layer.entropy_bits, 1);
  EXPECT_DOUBLE_EQ(layer.gini, 0.5);
  EXPECT_DOUBLE_EQ(layer.top_tenth_share, 0.5);
  EXPECT_EQ(layer.reuse, (std::vector<uint64_t>{0, 62, 0, 0}));
  EXPECT_EQ(layer.first_choices, 2U);
  EXPECT_DOUBLE_EQ(layer.overlap, 0);
  EXPECT_DOUBLE_EQ(layer.working_set[3], 2);
  EXPECT_DOUBLE_EQ(layer.recall_popular, 0.5);
  EXPECT_DOUBLE_EQ(layer.recall_affinity, 1);
  EXPECT_DOUBLE_EQ(statistics->layers[0].next_layer_bits, 1);
}

}  // namespace
}  // namespace sluice
