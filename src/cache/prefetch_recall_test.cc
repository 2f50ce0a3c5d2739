// Predictors on real routing, against tests/reference_recall.py: a numpy program that knows only
// the definitions. Skips where the traces of ../shared are not there.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "cache/prefetch.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

// Recall@top_k and @2 top_k in percent, over layers from 1 and tokens from 1.
using Recall = std::array<double, 2>;

Recall RecallOf(const std::vector<std::string>& names, const Trace& trace, uint64_t steps) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const auto top_k = static_cast<int32_t>(trace.meta.top_k);
  PrefetchSpec spec;
  spec.strategies = names;
  spec.affinity_threshold = 0;
  const CacheSpec cache;
  const auto predictor = NewPredictor(
      std::span(names), {.shape = shape, .top_k = top_k, .prefetch = &spec, .cache = &cache});
  std::vector<float> said(static_cast<size_t>(shape.experts));
  std::vector<int32_t> order(said.size());
  std::array<int64_t, 2> hits = {};
  int64_t all = 0;
  for (uint64_t step = 0; step < std::min<uint64_t>(steps, trace.steps.size()); ++step) {
    for (uint64_t i = 0; i < trace.steps[step].calls; ++i) {
      const uint64_t number = trace.steps[step].first_call + i;
      const TraceCall& traced = trace.calls[number];
      EXPECT_EQ(traced.tokens, 1);
      const auto choice =
          std::span(trace.experts)
              .subspan(traced.first_row * static_cast<uint64_t>(top_k), static_cast<size_t>(top_k));
      std::vector<Demand> demands;
      for (const int32_t e : choice) demands.push_back({.expert = e, .tokens = 1});
      if (traced.layer > 0 && step > 0) {
        std::iota(order.begin(), order.end(), 0);
        std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return said[a] > said[b]; });
        for (int n = 0; n < 2; ++n) {
          for (int32_t rank = 0; rank < (n + 1) * top_k; ++rank) {
            hits[n] += std::ranges::count(choice, order[rank]);
          }
        }
        all += top_k;
      }
      const LayerCall call{.layer = traced.layer,
                           .tokens = 1,
                           .top_k = top_k,
                           .experts = choice,
                           .demands = demands,
                           .step = step,
                           .call = number,
                           .first_token = step};
      predictor->Observe(call);
      predictor->Predict(call, (traced.layer + 1) % shape.layers, 1, said);
    }
  }
  return {100.0 * static_cast<double>(hits[0]) / static_cast<double>(all),
          100.0 * static_cast<double>(hits[1]) / static_cast<double>(all)};
}

// What reference_recall.py prints.
struct Reference {
  const char* file;
  uint64_t tokens;
  Recall window, ema, previous, klotski;

  friend std::ostream& operator<<(std::ostream& out, const Reference& reference) {
    return out << reference.file << ", " << reference.tokens << " tokens";
  }
};
constexpr Reference kReferences[] = {
    {"qwen3-30b-a3b-code.npz", 400, {42.09, 58.95}, {45.48, 62.47}, {46.52, 50.11}, {53.88, 74.09}},
    {"gpt-oss-20b-decode.npz",
     1500,
     {41.32, 65.27},
     {43.68, 67.45},
     {44.72, 52.20},
     {59.26, 79.91}},
};

TEST(PredictorRecallTest, AgreesWithDefinitionsInNumpy) {
  for (const Reference& reference : kReferences) {
    const std::string path = std::string("../shared/data/traces/") + reference.file;
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "without " << path;
    SCOPED_TRACE(reference.file);
    const Result<Trace> trace = ReadTrace(path);
    ASSERT_TRUE(trace.ok()) << trace.status().message();
    const auto recall = [&](const std::vector<std::string>& names) {
      return RecallOf(names, *trace, reference.tokens);
    };
    // The same definitions: lookahead is a window, klotski a mean of conditionals. Single precision
    // may order two experts differently, hence 0.03.
    const Recall lookahead = recall({"lookahead"});
    const Recall klotski = recall({"klotski"});
    for (int n = 0; n < 2; ++n) {
      EXPECT_NEAR(lookahead[n], reference.window[n], 0.03);
      EXPECT_NEAR(klotski[n], reference.klotski[n], 0.03);
    }
    // Those that learn more must not do worse than the simple ones that they contain.
    const Recall history = recall({"history"});
    const Recall affinity = recall({"affinity"});
    const Recall learned = recall({"learned"});
    const Recall similar = recall({"similar"});
    const Recall blend = recall({"learned", "similar"});
    for (int n = 0; n < 2; ++n) {
      EXPECT_GT(history[n], std::max(reference.ema[n], reference.previous[n]) - 0.5);
      EXPECT_GT(affinity[n], reference.klotski[n] + 2);
      EXPECT_GT(learned[n], affinity[n]);
      EXPECT_GT(similar[n], reference.klotski[n]);
      EXPECT_GT(blend[n], std::max(learned[n], similar[n]));
    }
  }
}

}  // namespace
}  // namespace sluice
