// Each figure is its definition, computed over one layer's choices after the other.
#include "sim/trace_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Entries of the tables of pairs over all layers: 256 MiB. 61 layers of 512 experts need half.
constexpr int64_t kMaxPairs = int64_t{1} << 25;

double Ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? kNan : static_cast<double>(part) / static_cast<double>(whole);
}

// The choices of one layer, token by token.
struct Choices {
  size_t top_k = 0;
  std::vector<int32_t> experts;  // [tokens, top_k]

  size_t tokens() const { return experts.size() / top_k; }
  std::span<const int32_t> Of(size_t token) const {
    return std::span(experts).subspan(token * top_k, top_k);
  }
};

Choices ChoicesOf(const Trace& trace, size_t layer) {
  Choices choices{.top_k = static_cast<size_t>(trace.meta.top_k)};
  for (const TraceStep& step : trace.steps) {
    const TraceCall& call = trace.calls[step.first_call + layer];
    const auto first =
        trace.experts.begin() + static_cast<ptrdiff_t>(call.first_row * choices.top_k);
    choices.experts.insert(
        choices.experts.end(), first,
        first + static_cast<ptrdiff_t>(static_cast<size_t>(call.tokens) * choices.top_k));
  }
  return choices;
}

// For each token the number of the one before it; -1: there is none, a conversation begins.
std::vector<int64_t> TokensBefore(const Trace& trace) {
  std::vector<int64_t> before;
  std::unordered_map<int64_t, int64_t> last;  // of a request
  size_t conversation = 0;
  for (size_t s = 0; s < trace.steps.size(); ++s) {
    const TraceStep& step = trace.steps[s];
    const bool begins =
        conversation < trace.conversations.size() && trace.conversations[conversation] == s;
    if (begins) ++conversation;
    for (uint64_t t = 0; t < static_cast<uint64_t>(step.tokens); ++t) {
      const auto number = static_cast<int64_t>(before.size());
      if (trace.tokens.empty()) {
        before.push_back(begins && t == 0 ? -1 : number - 1);
        continue;
      }
      const int64_t request = trace.tokens[trace.calls[step.first_call].first_row + t].request;
      const auto [known, is_new] = last.try_emplace(request, -1);
      before.push_back(known->second);
      known->second = number;
    }
  }
  return before;
}

void CountChoices(const Choices& choices, LayerStatistics* layer) {
  for (const int32_t expert : choices.experts) ++layer->counts[static_cast<size_t>(expert)];
  const auto all = static_cast<double>(choices.experts.size());
  for (const uint64_t count : layer->counts) {
    const double share = static_cast<double>(count) / all;
    if (count > 0) layer->entropy_bits -= share * std::log2(share);
  }
  std::vector<uint64_t> sorted = layer->counts;
  std::ranges::sort(sorted);
  const size_t n = sorted.size();
  const size_t tenth = (n + 9) / 10;
  uint64_t top = 0;
  double weighted = 0;
  for (size_t i = 0; i < n; ++i) {
    if (i >= n - tenth) top += sorted[i];
    weighted += (2 * static_cast<double>(i + 1) - static_cast<double>(n) - 1) *
                static_cast<double>(sorted[i]);
  }
  layer->top_tenth_share = static_cast<double>(top) / all;
  layer->gini = weighted / (static_cast<double>(n) * all);
}

// A list of the experts, last chosen first: an expert's place is the number of others since.
void MeasureReuse(const Choices& choices, LayerStatistics* layer) {
  std::vector<int32_t> recent;
  for (size_t t = 0; t < choices.tokens(); ++t) {
    const std::span<const int32_t> row = choices.Of(t);
    // Distances first: a token's experts are looked for together, before any of them is used.
    for (const int32_t expert : row) {
      const auto place = std::ranges::find(recent, expert);
      if (place == recent.end()) {
        ++layer->first_choices;
      } else {
        ++layer->reuse[static_cast<size_t>(place - recent.begin())];
      }
    }
    for (const int32_t expert : row) {
      auto place = std::ranges::find(recent, expert);
      if (place == recent.end()) place = recent.insert(recent.end(), expert);
      std::rotate(recent.begin(), place, place + 1);
    }
  }
}

void MeasureWorkingSets(const Choices& choices, LayerStatistics* layer) {
  const size_t experts = layer->counts.size();
  for (size_t i = 0; i < kWindows.size(); ++i) {
    const auto window = static_cast<size_t>(kWindows[i]);
    const size_t windows = choices.tokens() / window;
    uint64_t distinct = 0;
    std::vector<size_t> seen_in(experts, SIZE_MAX);
    for (size_t t = 0; t < windows * window; ++t) {
      for (const int32_t expert : choices.Of(t)) {
        size_t& seen = seen_in[static_cast<size_t>(expert)];
        if (seen != t / window) ++distinct;
        seen = t / window;
      }
    }
    layer->working_set[i] = Ratio(distinct, windows);
  }
}

void MeasureOverlap(const Choices& choices, std::span<const int64_t> before,
                    LayerStatistics* layer) {
  uint64_t same = 0;
  uint64_t all = 0;
  for (size_t t = 0; t < choices.tokens(); ++t) {
    if (before[t] < 0) continue;
    const std::span<const int32_t> last = choices.Of(static_cast<size_t>(before[t]));
    for (const int32_t expert : choices.Of(t)) {
      same += static_cast<uint64_t>(std::ranges::count(last, expert));
    }
    all += choices.top_k;
  }
  layer->overlap = Ratio(same, all);
}

void CountPairs(const Choices& from, const Choices& to, size_t begin, size_t end,
                std::vector<uint32_t>* pairs, size_t experts) {
  for (size_t t = begin; t < end; ++t) {
    for (const int32_t a : from.Of(t)) {
      uint32_t* row = pairs->data() + static_cast<size_t>(a) * experts;
      for (const int32_t b : to.Of(t)) ++row[b];
    }
  }
}

// The top_k of the highest scores, the lower id on ties.
std::vector<int32_t> Best(std::span<const double> scores, size_t top_k) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::partial_sort(order, order.begin() + static_cast<ptrdiff_t>(top_k),
                            [&](int32_t a, int32_t b) {
                              const double x = scores[static_cast<size_t>(a)];
                              const double y = scores[static_cast<size_t>(b)];
                              return x != y ? x > y : a < b;
                            });
  order.resize(top_k);
  return order;
}

uint64_t Common(std::span<const int32_t> a, std::span<const int32_t> b) {
  uint64_t common = 0;
  for (const int32_t expert : a) common += static_cast<uint64_t>(std::ranges::count(b, expert));
  return common;
}

void MeasurePopularity(const Choices& choices, LayerStatistics* layer) {
  const size_t half = choices.tokens() / 2;
  std::vector<double> counts(layer->counts.size());
  for (size_t t = 0; t < half; ++t) {
    for (const int32_t expert : choices.Of(t)) ++counts[static_cast<size_t>(expert)];
  }
  const std::vector<int32_t> guess = Best(counts, choices.top_k);
  uint64_t right = 0;
  for (size_t t = half; t < choices.tokens(); ++t) right += Common(choices.Of(t), guess);
  layer->recall_popular = Ratio(right, (choices.tokens() - half) * choices.top_k);
}

// Every expert of the layer before votes for those of this layer in proportion to how often each
// followed it.
double AffinityRecall(const Choices& last, const Choices& choices, size_t experts) {
  const size_t half = choices.tokens() / 2;
  std::vector<uint32_t> pairs(experts * experts);
  CountPairs(last, choices, 0, half, &pairs, experts);
  std::vector<double> chosen(experts);  // how often an expert was, in the layer before
  for (size_t t = 0; t < half; ++t) {
    for (const int32_t expert : last.Of(t)) ++chosen[static_cast<size_t>(expert)];
  }
  std::vector<double> scores(experts);
  uint64_t right = 0;
  for (size_t t = half; t < choices.tokens(); ++t) {
    std::ranges::fill(scores, 0);
    for (const int32_t expert : last.Of(t)) {
      const auto a = static_cast<size_t>(expert);
      if (chosen[a] == 0) continue;
      for (size_t b = 0; b < experts; ++b) scores[b] += pairs[a * experts + b] / chosen[a];
    }
    right += Common(choices.Of(t), Best(scores, choices.top_k));
  }
  return Ratio(right, (choices.tokens() - half) * choices.top_k);
}

// Mutual information of the two experts of a pair, pairs taken over all ranks of both layers.
double MutualInformation(std::span<const uint32_t> pairs, size_t experts) {
  std::vector<double> rows(experts);
  std::vector<double> columns(experts);
  double all = 0;
  for (size_t a = 0; a < experts; ++a) {
    for (size_t b = 0; b < experts; ++b) {
      const double count = pairs[a * experts + b];
      rows[a] += count;
      columns[b] += count;
      all += count;
    }
  }
  double bits = 0;
  for (size_t a = 0; a < experts; ++a) {
    for (size_t b = 0; b < experts; ++b) {
      const double count = pairs[a * experts + b];
      if (count > 0) bits += count / all * std::log2(count * all / (rows[a] * columns[b]));
    }
  }
  return bits;
}

}  // namespace

Result<TraceStatistics> ComputeTraceStatistics(const Trace& trace) {
  const auto experts = static_cast<size_t>(trace.meta.experts);
  if (trace.steps.empty()) return InvalidArgumentError("the trace has no tokens");
  if (trace.meta.experts > kMaxPairs / trace.meta.experts / trace.meta.layers) {
    return UnsupportedError(
        fmt::format("{} layers of {} experts: tables of pairs would take too much memory",
                    trace.meta.layers, trace.meta.experts));
  }
  TraceStatistics statistics{
      .experts = trace.meta.experts, .top_k = trace.meta.top_k, .steps = trace.steps.size()};
  const std::vector<int64_t> before = TokensBefore(trace);
  statistics.tokens = static_cast<int64_t>(before.size());
  statistics.conversations = static_cast<uint64_t>(std::ranges::count(before, -1));
  statistics.layers.resize(static_cast<size_t>(trace.meta.layers));
  Choices last;
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    LayerStatistics& layer = statistics.layers[l];
    layer.counts.assign(experts, 0);
    layer.reuse.assign(experts, 0);
    layer.together.assign(experts * experts, 0);
    Choices choices = ChoicesOf(trace, l);
    CountChoices(choices, &layer);
    MeasureReuse(choices, &layer);
    MeasureWorkingSets(choices, &layer);
    MeasureOverlap(choices, before, &layer);
    MeasurePopularity(choices, &layer);
    CountPairs(choices, choices, 0, choices.tokens(), &layer.together, experts);
    layer.recall_affinity = kNan;
    layer.next_layer_bits = kNan;
    if (l > 0) {
      LayerStatistics& above = statistics.layers[l - 1];
      above.next.assign(experts * experts, 0);
      CountPairs(last, choices, 0, choices.tokens(), &above.next, experts);
      above.next_layer_bits = MutualInformation(above.next, experts);
      layer.recall_affinity = AffinityRecall(last, choices, experts);
    }
    last = std::move(choices);
  }
  return statistics;
}

OverallStatistics Overall(const TraceStatistics& statistics) {
  const auto mean = [&](auto figure) {
    double sum = 0;
    int layers = 0;
    for (const LayerStatistics& layer : statistics.layers) {
      const double value = figure(layer);
      if (std::isnan(value)) continue;
      sum += value;
      ++layers;
    }
    return layers == 0 ? kNan : sum / layers;
  };
  OverallStatistics all{
      .entropy_bits = mean([](const LayerStatistics& l) { return l.entropy_bits; }),
      .uniform_bits = std::log2(static_cast<double>(statistics.experts)),
      .top_tenth_share = mean([](const LayerStatistics& l) { return l.top_tenth_share; }),
      .gini = mean([](const LayerStatistics& l) { return l.gini; }),
      .overlap = mean([](const LayerStatistics& l) { return l.overlap; }),
      .recall_popular = mean([](const LayerStatistics& l) { return l.recall_popular; }),
      .recall_affinity = mean([](const LayerStatistics& l) { return l.recall_affinity; }),
      .next_layer_bits = mean([](const LayerStatistics& l) { return l.next_layer_bits; })};
  for (size_t i = 0; i < kWindows.size(); ++i) {
    all.working_set[i] = mean([i](const LayerStatistics& l) { return l.working_set[i]; });
  }
  all.reuse.assign(static_cast<size_t>(statistics.experts), 0);
  for (const LayerStatistics& layer : statistics.layers) {
    all.first_choices += layer.first_choices;
    for (size_t d = 0; d < all.reuse.size(); ++d) all.reuse[d] += layer.reuse[d];
  }
  return all;
}

int64_t ReuseQuantile(const std::vector<uint64_t>& reuse, double share) {
  const uint64_t all = std::accumulate(reuse.begin(), reuse.end(), uint64_t{0});
  uint64_t within = 0;
  for (size_t d = 0; d < reuse.size(); ++d) {
    within += reuse[d];
    if (static_cast<double>(within) >= share * static_cast<double>(all)) {
      return static_cast<int64_t>(d);
    }
  }
  return static_cast<int64_t>(reuse.size()) - 1;
}

}  // namespace sluice
