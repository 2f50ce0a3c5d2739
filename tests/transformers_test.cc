// Logits against Hugging Face Transformers: every architecture, kind of file and format.
//
// Checkpoints come from tests/golden/make_checkpoints.py (SLUICE_CHECKPOINTS), goldens are
// committed; SLUICE_MANIFEST is another list of checkpoints, with goldens beside it
// (tools/model_table.py). Files of floats are held to 1e-4 on the fastest device, all files on the
// device `exact`, which multiplies with the numbers that the file holds. On the fastest device
// quantized files round activations too; their difference is printed, as a table, with the
// agreement of greedy tokens.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "safetensors_goldens.h"
#include "sluice/engine.h"

namespace sluice {
namespace {

constexpr float kTolerance = 1e-4F;
constexpr const char* kManifest = "tests/golden/manifest.json";

struct Comparison {
  float largest_difference = 0;
  int greedy_equal = 0;
  int greedy_total = 0;
};

void Compare(const std::vector<float>& actual, const float* expected, Comparison* result) {
  for (size_t i = 0; i < actual.size(); ++i) {
    const float difference = std::fabs(actual[i] - expected[i]);
    // Written so that NaN counts as a difference.
    if (!(difference <= result->largest_difference)) result->largest_difference = difference;
  }
}

// Runs one prompt as the golden did: prefill, then greedy steps.
void ComparePrompt(Engine* engine, const Goldens& goldens, const std::string& prefix,
                   Comparison* result) {
  const auto ids = goldens.Values<int32_t>(prefix + "ids");
  const auto positions = goldens.Values<int32_t>(prefix + "positions");
  const auto logits = goldens.Values<float>(prefix + "logits");
  const auto greedy_ids = goldens.Values<int32_t>(prefix + "greedy_ids");
  const auto greedy_logits = goldens.Values<float>(prefix + "greedy_logits");
  const auto vocab = static_cast<size_t>(goldens.Shape(prefix + "logits")[1]);

  auto stream = engine->Submit({.prompt_ids = ids,
                                .max_tokens = static_cast<int64_t>(greedy_ids.size()),
                                .ignore_eos = true,
                                .logits = LogitsWanted::kAll});
  ASSERT_TRUE(stream.ok()) << stream.status().message();
  size_t position = 0;
  while (true) {
    auto event = stream->Next();
    ASSERT_TRUE(event.ok()) << event.status().message();
    if (!event->has_value()) break;
    ASSERT_EQ((*event)->logits.size(), vocab);
    const auto stored = std::ranges::find(positions, static_cast<int32_t>(position));
    if (stored != positions.end()) {
      Compare((*event)->logits, &logits[static_cast<size_t>(stored - positions.begin()) * vocab],
              result);
    }
    if (position + 1 >= ids.size()) {
      const size_t step = position + 1 - ids.size();
      // Later steps follow from our own tokens: after a different one they compare nothing.
      if (result->greedy_equal == result->greedy_total) {
        Compare((*event)->logits, &greedy_logits[step * vocab], result);
      }
      ++result->greedy_total;
      result->greedy_equal += (*event)->token == greedy_ids[step] ? 1 : 0;
    }
    ++position;
  }
  EXPECT_EQ(position, ids.size() + greedy_ids.size() - 1);
}

std::string Variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? otherwise : value;
}

Comparison CompareAll(const std::string& checkpoint, const std::string& golden,
                      const std::string& device) {
  Comparison result;
  const Goldens goldens(golden);
  EXPECT_TRUE(goldens.ok()) << golden;
  auto engine = Engine::Open({.model = Variable("SLUICE_CHECKPOINTS", "") + "/" + checkpoint,
                              .ram_budget = "1GiB",
                              .threads = 2,
                              .context_tokens = 1024,
                              .prefill_chunk = 512,
                              .kv_cache = "f32",
                              .device = device});
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  if (!engine.ok() || !goldens.ok()) return result;
  for (int p = 0; goldens.Has(fmt::format("prompt{}.ids", p)); ++p) {
    ComparePrompt(engine->get(), goldens, fmt::format("prompt{}.", p), &result);
  }
  EXPECT_GT(result.greedy_total, 0);
  return result;
}

TEST(TransformersTest, LogitsAgree) {
  if (Variable("SLUICE_CHECKPOINTS", "").empty()) {
    GTEST_SKIP() << "SLUICE_CHECKPOINTS is not set: make test sets it";
  }
  const std::filesystem::path list = Variable("SLUICE_MANIFEST", kManifest);
  std::ifstream in(list);
  const auto manifest = nlohmann::json::parse(in);
  fmt::print(
      "| model | kind | format | exact: difference | greedy | fastest: difference | greedy |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const auto& entry : manifest) {
    const auto checkpoint = entry.at("checkpoint").get<std::string>();
    const auto golden = list.parent_path() / entry.at("golden").get<std::string>();
    const auto format = entry.at("format").get<std::string>();
    // "gptq as f32": what a packed directory was converted to.
    const bool floats = format.ends_with("f32") || format.ends_with("f16");
    const Comparison exact = CompareAll(checkpoint, golden, "exact");
    const Comparison fast = CompareAll(checkpoint, golden, "auto");
    EXPECT_LE(exact.largest_difference, kTolerance) << checkpoint;
    EXPECT_EQ(exact.greedy_equal, exact.greedy_total) << checkpoint;
    if (floats) {
      EXPECT_LE(fast.largest_difference, kTolerance) << checkpoint;
      EXPECT_EQ(fast.greedy_equal, fast.greedy_total) << checkpoint;
    }
    fmt::print("| {} | {} | {} | {:.1e} | {}/{} | {:.1e} | {}/{} |\n", checkpoint,
               entry.at("kind").get<std::string>(), format, exact.largest_difference,
               exact.greedy_equal, exact.greedy_total, fast.largest_difference, fast.greedy_equal,
               fast.greedy_total);
  }
}

}  // namespace
}  // namespace sluice
