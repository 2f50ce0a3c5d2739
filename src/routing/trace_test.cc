// What TraceWriter writes is what ReadTrace() reads: every number, bit for bit.
#include "routing/trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "routing/trace_reader.h"

namespace sluice {
namespace {

std::string TemporaryPath(const std::string& name) {
  return (std::filesystem::temp_directory_path() / (name + std::to_string(getpid()))).string();
}

const TraceMeta kMeta{.model = "a \"model\"\n",
                      .architecture = "qwen3moe",
                      .dtype = "Q8_0",
                      .layers = 3,
                      .experts = 8,
                      .top_k = 2,
                      .seed = std::numeric_limits<uint64_t>::max(),
                      .policy = "policy p {\n  cache { capacity = 4 }\n}\n",
                      .slots = 12,
                      .staging = 2,
                      .expert_bytes = uint64_t{1} << 40,
                      .link_bytes_per_call = 0.1 + 0.2};

TEST(TraceWriterTest, EveryFieldComesBack) {
  const std::string path = TemporaryPath("trace_writer");
  const ClockReadings readings{.seconds = 1.0 / 3,
                               .stall_ms = 1e-300,
                               .tokens_per_second = 7,
                               .slow_mbps = 1234.5678901234567,
                               .queue_depth = 3,
                               .free_memory_bytes = 123456789012345678.0};
  const Routing routing{
      .tokens = 2, .top_k = 2, .experts = {7, 0, 3, 4}, .weights = {1, 0, 0.3F, 1e-9F}};
  const std::vector<TracedToken> tokens = {{.request = 0, .position = 5},
                                           {.request = 9, .position = 0}};
  const std::vector<Likely> guess = {{.expert = 6, .probability = 0.7F},
                                     {.expert = 1, .probability = 0.1F}};
  {
    auto writer = TraceWriter::Create(path, kMeta);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    for (int step = 0; step < 2; ++step) {
      (*writer)->BeginStep(2, step == 0 ? nullptr : &readings);
      for (int32_t layer = 0; layer < 3; ++layer) {
        (*writer)->Record(layer, routing, tokens,
                          layer == 1 ? GateGuess{.layer = 2, .experts = guess} : GateGuess{});
      }
    }
    ASSERT_TRUE((*writer)->Flush().ok());
  }
  const Result<Trace> trace = ReadTrace(path);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->meta.model, kMeta.model);
  EXPECT_EQ(trace->meta.policy, kMeta.policy);
  EXPECT_EQ(trace->meta.seed, kMeta.seed);
  EXPECT_EQ(trace->meta.slots, 12);
  EXPECT_EQ(trace->meta.staging, 2);
  EXPECT_EQ(trace->meta.expert_bytes, kMeta.expert_bytes);
  EXPECT_EQ(trace->meta.link_bytes_per_call, kMeta.link_bytes_per_call);
  ASSERT_EQ(trace->steps.size(), 2U);
  EXPECT_EQ(trace->steps[0].readings, -1);
  ASSERT_EQ(trace->steps[1].readings, 0);
  EXPECT_EQ(trace->readings[0].seconds, readings.seconds);
  EXPECT_EQ(trace->readings[0].stall_ms, readings.stall_ms);
  EXPECT_EQ(trace->readings[0].tokens_per_second, readings.tokens_per_second);
  EXPECT_EQ(trace->readings[0].slow_mbps, readings.slow_mbps);
  EXPECT_EQ(trace->readings[0].queue_depth, readings.queue_depth);
  EXPECT_EQ(trace->readings[0].free_memory_bytes, readings.free_memory_bytes);
  ASSERT_EQ(trace->calls.size(), 6U);
  EXPECT_EQ(trace->calls[3].gate, -1);
  ASSERT_EQ(trace->calls[4].gate, 1);
  EXPECT_EQ(trace->gates[1].layer, 2);
  ASSERT_EQ(trace->gates[1].experts.size(), 2U);
  EXPECT_EQ(trace->gates[1].experts[0].expert, 6);
  EXPECT_EQ(trace->gates[1].experts[0].probability, 0.7F);
  EXPECT_EQ(trace->experts.size(), 24U);
  EXPECT_EQ(std::vector<float>(trace->weights.end() - 4, trace->weights.end()), routing.weights);
  EXPECT_EQ(trace->tokens.back().request, 9);
  EXPECT_EQ(trace->conversations, (std::vector<uint64_t>{0}));
  std::filesystem::remove(path);
}

// Also where a part of it is in the file already.
TEST(TraceWriterTest, AFailedStepLeavesNothing) {
  const std::string path = TemporaryPath("trace_dropped");
  for (const int64_t tokens : {1, 20000}) {
    Routing routing{.tokens = tokens, .top_k = 2, .experts = {}, .weights = {}};
    for (int64_t t = 0; t < tokens; ++t) routing.experts.insert(routing.experts.end(), {3, 4});
    const std::vector<TracedToken> traced(static_cast<size_t>(tokens));
    {
      auto writer = TraceWriter::Create(path, kMeta);
      ASSERT_TRUE(writer.ok()) << writer.status().message();
      for (int step = 0; step < 3; ++step) {
        (*writer)->BeginStep(static_cast<int32_t>(tokens), nullptr);
        for (int32_t layer = 0; layer < (step == 1 ? 2 : 3); ++layer) {
          (*writer)->Record(layer, routing, traced);
        }
        if (step == 1) (*writer)->DropStep();
      }
    }
    const Result<Trace> trace = ReadTrace(path);
    ASSERT_TRUE(trace.ok()) << trace.status().message();
    EXPECT_EQ(trace->steps.size(), 2U);
    EXPECT_EQ(trace->calls.size(), 6U);
    EXPECT_EQ(trace->experts.size(), static_cast<size_t>(2 * 6 * tokens));
  }
  std::filesystem::remove(path);
}

// A decision may hang on the last bit of a weight.
TEST(TraceWriterTest, WeightsKeepEveryBit) {
  const std::string path = TemporaryPath("trace_weights");
  std::mt19937 random(1);
  std::vector<float> weights;
  while (weights.size() < 40000) {
    const auto any = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isfinite(any)) weights.push_back(any);
    weights.push_back(static_cast<float>(random()) / 4294967296.0F);
  }
  weights.resize(40000);
  {
    auto writer = TraceWriter::Create(path, kMeta);
    ASSERT_TRUE(writer.ok());
    const auto rows = static_cast<int32_t>(weights.size() / 2);
    Routing routing{.tokens = rows, .top_k = 2, .weights = weights};
    for (size_t i = 0; i < weights.size(); ++i) {
      routing.experts.push_back(static_cast<int32_t>(i % 2));
    }
    const std::vector<TracedToken> tokens(static_cast<size_t>(rows));
    (*writer)->BeginStep(rows, nullptr);
    for (int32_t layer = 0; layer < 3; ++layer) (*writer)->Record(layer, routing, tokens);
    ASSERT_TRUE((*writer)->Flush().ok());
  }
  const Result<Trace> trace = ReadTrace(path);
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  for (size_t i = 0; i < weights.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(trace->weights[i]), std::bit_cast<uint32_t>(weights[i]));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice
