// Traces of every format, read back.
#include "routing/trace_reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

const char* const kRill = "models/rill/trace.jsonl";
const std::string kShared = "../shared/data/traces/";

TEST(TraceReaderTest, RillsOwnTrace) {
  const Result<Trace> trace = ReadTrace(kRill);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->meta.layers, 6);
  EXPECT_EQ(trace->meta.experts, 32);
  EXPECT_EQ(trace->meta.top_k, 4);
}

// The row of one token that is a step of its own.
std::vector<int32_t> RowOf(const Trace& trace, size_t step, size_t layer) {
  const TraceCall& call = trace.calls[trace.steps[step].first_call + layer];
  const auto top_k = static_cast<size_t>(trace.meta.top_k);
  const auto begin = trace.experts.begin() + static_cast<ptrdiff_t>(call.first_row * top_k);
  return {begin, begin + static_cast<ptrdiff_t>(top_k)};
}

// What NumPy says about the files.
TEST(TraceReaderTest, BothLayoutsOfNpz) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no " << kShared;
  const Result<Trace> qwen = ReadTrace(kShared + "qwen3-30b-a3b-code.npz");
  ASSERT_TRUE(qwen.ok()) << qwen.status().message();
  EXPECT_EQ(qwen->steps.size(), 8000U);
  EXPECT_EQ(qwen->experts.size(), 8000U * 48 * 8);
  EXPECT_EQ(qwen->meta.model, "Qwen3-30B-A3B-Q4_K_M");
  EXPECT_EQ(RowOf(*qwen, 7, 5), (std::vector<int32_t>{24, 109, 110, 104, 122, 12, 96, 74}));
  EXPECT_TRUE(qwen->weights.empty());
  const Result<Trace> gpt = ReadTrace(kShared + "gpt-oss-20b-decode.npz");
  ASSERT_TRUE(gpt.ok()) << gpt.status().message();
  EXPECT_EQ(gpt->steps.size(), 60461U);
  EXPECT_EQ(gpt->meta.experts, 32);
  EXPECT_EQ(RowOf(*gpt, 5, 7), (std::vector<int32_t>{13, 14, 16, 3}));
  EXPECT_EQ(gpt->weights.size(), gpt->experts.size());
  EXPECT_EQ(gpt->conversations.size(), 187U);
  EXPECT_EQ(gpt->conversations[1], 511U);
}

TEST(TraceReaderTest, MplSample) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no " << kShared;
  const Result<Trace> sample = ReadTrace(kShared + "gpt-oss-20b-sample.jsonl");
  ASSERT_TRUE(sample.ok()) << sample.status().message();
  EXPECT_EQ(sample->steps.size(), 8U * 128);
  EXPECT_EQ(sample->conversations.size(), 8U);
  EXPECT_EQ(RowOf(*sample, 0, 1), (std::vector<int32_t>{18, 29, 12, 9}));
  EXPECT_EQ(sample->weights[4], 0.5586F);
}

}  // namespace
}  // namespace sluice
