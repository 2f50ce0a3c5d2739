#include "sim/trace_knowledge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>

#include "cache/layer_call.h"

namespace sluice {
namespace {

// Of every choice: how often it was made, and how often after each choice of the layer before.
struct Followers {
  std::vector<int64_t> choices;  // [layers, experts]
  std::vector<int64_t> pairs;    // [layers, from, to]; layer 0 follows the last one of its step
  int64_t tokens = 0;
};

Followers Count(const Trace& trace, CacheShape shape) {
  const auto experts = static_cast<size_t>(shape.experts);
  const auto top_k = static_cast<size_t>(trace.meta.top_k);
  Followers followers;
  followers.choices.resize(shape.size());
  followers.pairs.resize(shape.size() * experts);
  for (const TraceStep& step : trace.steps) {
    followers.tokens += step.tokens;
    for (uint64_t c = step.first_call; c < step.first_call + step.calls; ++c) {
      const TraceCall& call = trace.calls[c];
      const auto layer = static_cast<size_t>(call.layer);
      for (size_t t = 0; t < static_cast<size_t>(call.tokens); ++t) {
        const int32_t* chosen = &trace.experts[(call.first_row + t) * top_k];
        for (size_t i = 0; i < top_k; ++i) {
          ++followers.choices[layer * experts + static_cast<size_t>(chosen[i])];
        }
        if (c == step.first_call) continue;
        const int32_t* before = &trace.experts[(trace.calls[c - 1].first_row + t) * top_k];
        for (size_t i = 0; i < top_k; ++i) {
          int64_t* row =
              &followers.pairs[(layer * experts + static_cast<size_t>(before[i])) * experts];
          for (size_t j = 0; j < top_k; ++j) ++row[chosen[j]];
        }
      }
    }
  }
  return followers;
}

// Counts as probabilities, kept off 0 and 1 as if one more had been seen of each kind.
double Share(int64_t part, int64_t whole) {
  return (static_cast<double>(part) + 0.5) / (static_cast<double>(whole) + 1.0);
}

double LogOdds(double probability) { return std::log(probability / (1 - probability)); }

}  // namespace

std::string MakeProfile(const Trace& trace) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const Followers followers = Count(trace, shape);
  std::vector<ExpertKey> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](ExpertKey key) {
    return followers.choices[static_cast<size_t>(key)];
  });
  std::string text = "layer,expert,count\n";
  for (const ExpertKey key : order) {
    const ExpertId id = IdOf(shape, key);
    fmt::format_to(std::back_inserter(text), "{},{},{}\n", id.layer, id.expert,
                   followers.choices[static_cast<size_t>(key)]);
  }
  return text;
}

std::string MakeTable(const Trace& trace, int64_t least) {
  const CacheShape shape{.layers = static_cast<int32_t>(trace.meta.layers),
                         .experts = static_cast<int32_t>(trace.meta.experts)};
  const auto experts = static_cast<size_t>(shape.experts);
  const Followers followers = Count(trace, shape);
  std::string text = fmt::format("sluice-table 1 {} {}\n", shape.layers, shape.experts);
  auto out = std::back_inserter(text);
  for (size_t key = 0; key < shape.size(); ++key) {
    const ExpertId to = IdOf(shape, static_cast<ExpertKey>(key));
    const double prior = Share(followers.choices[key], followers.tokens);
    fmt::format_to(out, "bias {} {} {:.4f}\n", to.layer, to.expert, LogOdds(prior));
    for (size_t from = 0; to.layer > 0 && from < experts; ++from) {
      const auto layer = static_cast<size_t>(to.layer);
      const int64_t both =
          followers.pairs[(layer * experts + from) * experts + static_cast<size_t>(to.expert)];
      const int64_t before = followers.choices[(layer - 1) * experts + from];
      if (both < least) continue;
      const double probability = Share(both, before);
      fmt::format_to(out, "follow {} {} {} {:.4f}\n", to.layer, from, to.expert, probability);
      fmt::format_to(out, "weight {} 1 {} {} {:.4f}\n", to.layer, from, to.expert,
                     LogOdds(probability) - LogOdds(prior));
    }
  }
  return text;
}

}  // namespace sluice
