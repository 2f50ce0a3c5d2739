// What the first router would choose, computed from the definition: norm, logits, the largest few.
#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>
#include <string>
#include <vector>

#include "synth/model_keys.h"
#include "synth/synth_model.h"
#include "synth/tensor_list.h"
#include "synth/topic_text.h"
#include "tensor/format.h"

namespace sluice {
namespace {

// The embedding of a token, divided by its root mean square. [hidden]
std::vector<float> NormedEmbedding(const SynthOptions& options, const SynthTensor& embedding,
                                   const FormatSpec& format, int64_t token) {
  const int64_t hidden = options.shape.hidden;
  std::vector<std::byte> row(static_cast<size_t>(format.row_bytes(hidden)));
  FillEmbeddingRow(*embedding.type, embedding.rms, options.habits, options.seed, token, row);
  std::vector<float> x(static_cast<size_t>(hidden));
  format.decode(row.data(), hidden / format.block_elements, x.data());
  double squares = 0;
  for (const float value : x) squares += static_cast<double>(value) * value;
  const auto scale = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(hidden)));
  for (float& value : x) value *= scale;
  return x;
}

std::vector<int> Choose(const std::vector<float>& x, const std::vector<float>& router, int experts,
                        int top_k) {
  std::vector<float> logits(static_cast<size_t>(experts));
  for (size_t e = 0; e < logits.size(); ++e) {
    float sums[16] = {};  // so that the compiler can use vectors
    const float* w = &router[e * x.size()];
    for (size_t i = 0; i + 16 <= x.size(); i += 16) {
      for (size_t j = 0; j < 16; ++j) sums[j] += w[i + j] * x[i + j];
    }
    logits[e] = std::accumulate(sums, sums + 16, 0.0F);
  }
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + top_k, order.end(), [&](int a, int b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(top_k));
  return order;
}

double QuarterHits(const std::vector<std::vector<int>>& chosen, int experts) {
  const auto slots = static_cast<size_t>(std::max(1, experts / 4));
  std::list<int> recent;  // the last one first
  int64_t hits = 0;
  int64_t accesses = 0;
  for (const std::vector<int>& token : chosen) {
    for (const int expert : token) {
      ++accesses;
      const auto at = std::ranges::find(recent, expert);
      if (at != recent.end()) {
        ++hits;
        recent.erase(at);
      } else if (recent.size() == slots) {
        recent.pop_back();
      }
      recent.push_front(expert);
    }
  }
  return static_cast<double>(hits) / static_cast<double>(accesses);
}

RoutingReport Summarise(const std::vector<std::vector<int>>& chosen, int experts, int top_k) {
  std::vector<int64_t> counts(static_cast<size_t>(experts));
  double repeated = 0;
  for (size_t t = 0; t < chosen.size(); ++t) {
    for (const int expert : chosen[t]) {
      ++counts[static_cast<size_t>(expert)];
      if (t > 0 && std::ranges::count(chosen[t - 1], expert) > 0) ++repeated;
    }
  }
  std::ranges::sort(counts, std::greater());
  const int tenth = std::max(1, experts / 10);
  const double accesses = static_cast<double>(chosen.size()) * top_k;
  return {.top_tenth =
              static_cast<double>(std::accumulate(counts.begin(), counts.begin() + tenth, 0L)) /
              accesses,
          .repeated = repeated / (accesses - top_k),
          .quarter_hits = QuarterHits(chosen, experts),
          .chance_tenth = static_cast<double>(tenth) / experts,
          .chance_repeated = static_cast<double>(top_k) / experts};
}

}  // namespace

RoutingReport ReportRouting(const SynthOptions& options, int64_t tokens) {
  const ModelShape& shape = options.shape;
  const std::vector<SynthTensor> tensors = ListTensors(shape, *options.file);
  const SynthTensor& embedding = tensors.front();
  const auto router = std::ranges::find_if(
      tensors, [](const SynthTensor& t) { return t.name.find("ffn_gate_inp.") != t.name.npos; });
  std::vector<float> weights(static_cast<size_t>(shape.experts * shape.hidden));
  RandomWords bits(SeedOf(router->name, options.seed));
  RandomWords scales(MixBits(SeedOf(router->name, options.seed)));
  FillBlocks(*router->type, router->rms, &bits, &scales,
             std::as_writable_bytes(std::span(weights)));
  const auto experts = static_cast<int>(shape.experts);
  const auto top_k = static_cast<int>(shape.top_k);
  const std::vector<int32_t> text = TopicText(
      {.first = kFirstWord, .end = shape.vocab - kControlTokens, .topics = options.habits.topics},
      0, tokens);
  std::vector<std::vector<int>> chosen;
  chosen.reserve(text.size());
  for (const int32_t token : text) {
    chosen.push_back(
        Choose(NormedEmbedding(options, embedding, Spec(embedding.type->format), token), weights,
               experts, top_k));
  }
  return Summarise(chosen, experts, top_k);
}

}  // namespace sluice
