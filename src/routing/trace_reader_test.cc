// Traces of every format, read back.
#include "routing/trace_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "routing/trace_writers.h"

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

// A file of this text, gone with the test.
class TraceFile {
 public:
  explicit TraceFile(const std::string& text, const std::string& extension = ".jsonl")
      : path_((std::filesystem::temp_directory_path() /
               ("trace_reader" + std::to_string(getpid()) + extension))
                  .string()) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TraceFile() { std::filesystem::remove(path_); }
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The example of the log's description, and a second step.
TEST(TraceReaderTest, VllmLog) {
  const TraceFile file(
      R"({"type":"meta","model_id":"Qwen/Qwen1.5-MoE-A2.7B-Chat","vllm_version":"0.6.x","torch_version":"2.x","device":"NVIDIA A100","seed":1234,"layers_logged":[0],"top_k":4}
{"type":"route","req_id":"batch","token_idx":16,"layer":0,"topk_ids":[3,12,44,8],"topk_weights":[0.32,0.28,0.22,0.18]}
{"type":"route","req_id":"batch","token_idx":17,"layer":0,"topk_ids":[3,12,45,8],"topk_weights":[0.32,0.28,0.22,0.18]}
{"type":"route","req_id":"batch","token_idx":0,"layer":0,"topk_ids":[59,1,2,0],"topk_weights":[0.4,0.3,0.2,0.1]}
)");
  const Result<Trace> trace = ReadTrace(file.path());
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->meta.experts, 60);
  EXPECT_EQ(trace->meta.layers, 1);
  EXPECT_EQ(trace->meta.seed, 1234U);
  ASSERT_EQ(trace->steps.size(), 2U);
  EXPECT_EQ(trace->steps[0].tokens, 2);
  EXPECT_EQ(trace->steps[1].tokens, 1);
  EXPECT_EQ(RowOf(*trace, 1, 0), (std::vector<int32_t>{59, 1, 2, 0}));
  EXPECT_EQ(trace->weights[0], 0.32F);
}

const char* const kMetaLine =
    R"({"type":"meta","version":2,"model":"m","architecture":"a","dtype":"f32","layers":2,"experts":4,"top_k":2,"seed":0,"policy":"","policy_name":"","slots":1,"staging":0,"expert_bytes":1,"link_bytes_per_call":0})"
    "\n";

struct BadTrace {
  const char* name;
  std::string text;
  const char* message;  // part of it
};

class BadTraceTest : public testing::TestWithParam<BadTrace> {};

TEST_P(BadTraceTest, IsAnErrorWithItsLine) {
  const TraceFile file(GetParam().text);
  const Result<Trace> trace = ReadTrace(file.path());
  ASSERT_FALSE(trace.ok());
  EXPECT_NE(trace.status().message().find(GetParam().message), std::string::npos)
      << trace.status().message();
  EXPECT_NE(trace.status().message().find(file.path()), std::string::npos);
}

std::string Lines(const std::string& lines) { return kMetaLine + lines; }
const std::string kStep = "{\"type\":\"step\",\"tokens\":1}\n";
const std::string kRow0 = "{\"r\":0,\"t\":0,\"l\":0,\"e\":[0,1],\"w\":[0.5,0.5]}\n";
const std::string kRow1 = "{\"r\":0,\"t\":0,\"l\":1,\"e\":[0,1],\"w\":[0.5,0.5]}\n";

INSTANTIATE_TEST_SUITE_P(
    All, BadTraceTest,
    testing::Values(
        BadTrace{"Empty", "", "known format"}, BadTrace{"Prose", "hello\n", "known format"},
        BadTrace{"Version", R"({"type":"meta","version":3,"top_k":2})", "version 3"},
        BadTrace{
            "NoLayers",
            R"({"type":"meta","version":1,"model":"m","architecture":"a","dtype":"","experts":4,"top_k":2})",
            ":1: the key 'layers'"},
        BadTrace{
            "HugeShape",
            R"({"type":"meta","version":1,"model":"m","architecture":"a","dtype":"","layers":1000000,"experts":1000000,"top_k":2,"seed":0})",
            ":1: 1000000 layers"},
        BadTrace{"NoJson", Lines(kStep + "{\"r\":0,"), ":3: no JSON"},
        BadTrace{"Nested", Lines(kStep + "[[[[1]]]]\n"), ":3: no JSON object"},
        BadTrace{"Twice", Lines(kStep + "{\"r\":0,\"r\":1}\n"), ":3: the key 'r' twice"},
        BadTrace{"RowBeforeStep", Lines(kRow0), "a row outside of any step"},
        BadTrace{"ExpertOutOfRange",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[0,4],\"w\":[0.5,0.5]}\n"),
                 ":3: expert 4"},
        BadTrace{"ExpertNegative",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[0,-1],\"w\":[0.5,0.5]}\n"),
                 ":3: expert -1"},
        BadTrace{"ExpertTwice",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[1,1],\"w\":[0.5,0.5]}\n"),
                 ":3: expert 1 twice"},
        BadTrace{"ExpertNoNumber",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[1,\"x\"],\"w\":[0.5,0.5]}\n"),
                 ":3: 'e'"},
        BadTrace{"ExpertHalf",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[1,2.5],\"w\":[0.5,0.5]}\n"),
                 ":3: 'e'"},
        BadTrace{"TooFew", Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[1],\"w\":[0.5]}\n"),
                 ":3: 1 experts"},
        BadTrace{"Weights", Lines(kStep + "{\"r\":0,\"t\":0,\"l\":0,\"e\":[1,2],\"w\":[0.5]}\n"),
                 ":3: 1 weights"},
        BadTrace{"LayerSkipped", Lines(kStep + kRow1), ":3: layer 1 where layer 0"},
        BadTrace{"LayerOutOfRange",
                 Lines(kStep + "{\"r\":0,\"t\":0,\"l\":2,\"e\":[0,1],\"w\":[0.5,0.5]}\n"),
                 ":3: layer 2"},
        BadTrace{"CutOff", Lines(kStep + kRow0), "ends after 1 of 2 layers"},
        BadTrace{"OtherToken",
                 Lines(kStep + kRow0 + "{\"r\":0,\"t\":9,\"l\":1,\"e\":[0,1],\"w\":[0.5,0.5]}\n"),
                 ":4: token 9"},
        BadTrace{"TooManyTokens", Lines(kStep + kRow0 + kRow0 + kRow1), "2 tokens in a step of 1"},
        BadTrace{"GateBackwards",
                 Lines(kStep + kRow0 + "{\"type\":\"gate\",\"l\":1,\"of\":0,\"e\":[],\"p\":[]}\n"),
                 ":4: a gate guess"},
        BadTrace{"GateAlone",
                 Lines(kStep + "{\"type\":\"gate\",\"l\":0,\"of\":1,\"e\":[1],\"p\":[1]}\n"),
                 ":3: step 0 ends after 0"}),
    [](const testing::TestParamInfo<BadTrace>& param) { return std::string(param.param.name); });

bool SameTrace(const Trace& a, const Trace& b) {
  const auto same_tokens = [](const TracedToken& x, const TracedToken& y) {
    return x.request == y.request && x.position == y.position;
  };
  const auto same_step = [](const TraceStep& x, const TraceStep& y) {
    return x.first_call == y.first_call && x.calls == y.calls && x.tokens == y.tokens &&
           x.readings == y.readings;
  };
  const auto same_call = [](const TraceCall& x, const TraceCall& y) {
    return x.layer == y.layer && x.tokens == y.tokens && x.first_row == y.first_row &&
           x.gate == y.gate;
  };
  return a.meta.model == b.meta.model && a.meta.policy == b.meta.policy &&
         a.meta.experts == b.meta.experts && std::ranges::equal(a.steps, b.steps, same_step) &&
         std::ranges::equal(a.calls, b.calls, same_call) && a.experts == b.experts &&
         a.weights == b.weights && std::ranges::equal(a.tokens, b.tokens, same_tokens) &&
         a.conversations == b.conversations && a.gates.size() == b.gates.size() &&
         a.readings.size() == b.readings.size();
}

TEST(TraceWritersTest, PackedTracesAreTheSame) {
  for (const std::string& path :
       {std::string(kRill), kShared + "qwen3-30b-a3b-code.npz", kShared + "gpt-oss-20b-decode.npz",
        kShared + "gpt-oss-20b-sample.jsonl"}) {
    if (!std::filesystem::exists(path)) continue;
    const Result<Trace> trace = ReadTrace(path);
    ASSERT_TRUE(trace.ok()) << trace.status().message();
    const TraceFile packed("", ".sltr");
    ASSERT_TRUE(WriteTrace(*trace, packed.path()).ok());
    EXPECT_LT(std::filesystem::file_size(packed.path()), std::filesystem::file_size(path));
    const Result<Trace> again = ReadTrace(packed.path());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_TRUE(SameTrace(*trace, *again)) << path;
  }
}

TEST(TraceWritersTest, PackedKeepsStepsReadingsAndGates) {
  const TraceFile file(
      Lines("{\"type\":\"step\",\"tokens\":1,\"clock\":{\"seconds\":0.1,\"stall_ms\":2,"
            "\"tokens_per_second\":3,\"slow_mbps\":4,\"queue_depth\":5,\"free_memory_bytes\":6}}\n"
            "{\"type\":\"gate\",\"l\":0,\"of\":1,\"e\":[3,1],\"p\":[0.7,0.1]}\n" +
            kRow0 + kRow1 + kStep + kRow0 + kRow1));
  const Result<Trace> trace = ReadTrace(file.path());
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  const TraceFile packed("", ".sltr");
  ASSERT_TRUE(WriteTrace(*trace, packed.path()).ok());
  const Result<Trace> again = ReadTrace(packed.path());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(SameTrace(*trace, *again));
  EXPECT_EQ(again->readings[0].seconds, 0.1);
  EXPECT_EQ(again->readings[0].free_memory_bytes, 6);
  EXPECT_EQ(again->gates[0].layer, 1);
  EXPECT_EQ(again->gates[0].experts[1].expert, 1);
  EXPECT_EQ(again->gates[0].experts[0].probability, 0.7F);
}

TEST(TraceWritersTest, DamagedPackedTracesAreErrors) {
  const Result<Trace> trace = ReadTrace(kRill);
  ASSERT_TRUE(trace.ok());
  const TraceFile packed("", ".sltr");
  ASSERT_TRUE(WriteTrace(*trace, packed.path()).ok());
  std::ifstream in(packed.path(), std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  for (size_t at = 0; at < bytes.size(); at += bytes.size() / 97) {
    std::string broken = bytes;
    broken[at] = static_cast<char>(broken[at] ^ 0x10);
    EXPECT_FALSE(ReadTrace(TraceFile(broken, ".cut").path(), "packed").ok()) << at;
    EXPECT_FALSE(ReadTrace(TraceFile(bytes.substr(0, at), ".cut").path(), "packed").ok()) << at;
  }
}

}  // namespace
}  // namespace sluice
