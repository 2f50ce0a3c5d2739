// Which figures, from which numbers, with which words.
#include "sim/trace_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace sluice {
namespace {

// Layers whose pairs are drawn: more would be too much to look at.
std::vector<size_t> ShownLayers(size_t layers) {
  if (layers == 0) return {};
  std::vector<size_t> shown = {0, layers / 2, layers - 1};
  shown.erase(std::unique(shown.begin(), shown.end()), shown.end());
  return shown;
}

std::string Percent(double share) {
  return std::isnan(share) ? "–" : fmt::format("{:.1f} %", 100 * share);
}

void AddSummary(const TraceStatistics& statistics, const OverallStatistics& all,
                HtmlReport* report) {
  const double share =
      static_cast<double>(statistics.top_k) / static_cast<double>(statistics.experts);
  report->AddTable({
      {"", "this trace", "if all experts were alike"},
      {"tokens, steps, conversations",
       fmt::format("{}, {}, {}", statistics.tokens, statistics.steps, statistics.conversations),
       ""},
      {"layers, experts, chosen per token",
       fmt::format("{}, {}, {}", statistics.layers.size(), statistics.experts, statistics.top_k),
       ""},
      {"entropy of expert use (bits)", fmt::format("{:.3f}", all.entropy_bits),
       fmt::format("{:.3f}", all.uniform_bits)},
      {"choices on the most used tenth", Percent(all.top_tenth_share),
       Percent(std::ceil(static_cast<double>(statistics.experts) / 10) /
               static_cast<double>(statistics.experts))},
      {"Gini coefficient of expert use", fmt::format("{:.3f}", all.gini), "0"},
      {"experts kept from the token before", Percent(all.overlap), Percent(share)},
      {"guessed right by popularity", Percent(all.recall_popular), Percent(share)},
      {"guessed right from the layer before", Percent(all.recall_affinity), Percent(share)},
      {"told about the next layer (bits per pair)", fmt::format("{:.3f}", all.next_layer_bits),
       "0"},
  });
  report->AddParagraph(
      "Means over all layers. Guesses are of as many experts as a token chooses, learned on the "
      "first half of the trace and judged on the second.");
}

// Row by row the share of a layer's choices that fell on each expert.
HeatMap ExpertUse(const TraceStatistics& statistics) {
  HeatMap map{
      .text = {.title = "Use of experts, layer by layer",
               .help = "Each cell is one expert: the stronger its colour, the more of its layer's "
                       "choices fell on it. Even rows have no favourites; strong cells are worth "
                       "keeping in memory.",
               .x_axis = "expert",
               .y_axis = "layer"},
      .rows = statistics.layers.size(),
      .columns = static_cast<size_t>(statistics.experts),
      .value_name = "of the layer's choices",
      .unit = ChartUnit::kPercent,
      .row_name = "layer",
      .column_name = "expert"};
  for (const LayerStatistics& layer : statistics.layers) {
    for (const uint64_t count : layer.counts) {
      map.values.push_back(static_cast<double>(count) /
                           static_cast<double>(statistics.tokens * statistics.top_k));
    }
  }
  return map;
}

BarChart ExpertBars(const TraceStatistics& statistics, size_t number) {
  BarChart bars{.text = {.title = fmt::format("Experts of layer {}, most used first", number),
                         .help = "The steeper the fall, the more a small cache can do; at the "
                                 "dashed line all experts would be used alike.",
                         .x_axis = "expert (in order of use)",
                         .y_axis = "share of the layer's choices"},
                .value_name = "of the choices",
                .y_unit = ChartUnit::kPercent,
                .reference = 1.0 / static_cast<double>(statistics.experts),
                .reference_name = "all alike"};
  const LayerStatistics& layer = statistics.layers[number];
  std::vector<size_t> order(layer.counts.size());
  for (size_t e = 0; e < order.size(); ++e) order[e] = e;
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return layer.counts[a] > layer.counts[b]; });
  for (const size_t expert : order) {
    bars.labels.push_back(fmt::format("{}", expert));
    bars.values.push_back(static_cast<double>(layer.counts[expert]) /
                          static_cast<double>(statistics.tokens * statistics.top_k));
  }
  return bars;
}

LineChart Entropy(const TraceStatistics& statistics) {
  LineChart chart{.text = {.title = "Entropy of expert use",
                           .help = "How evenly each layer uses its experts. A layer at the dashed "
                                   "line uses all alike; one bit below it behaves as if it had "
                                   "half as many experts.",
                           .x_axis = "layer",
                           .y_axis = "entropy (bits)"}};
  ChartSeries trace{.name = "this trace"};
  ChartSeries uniform{.name = "all experts alike", .dashed = true};
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    const auto x = static_cast<double>(l);
    trace.points.emplace_back(x, statistics.layers[l].entropy_bits);
    uniform.points.emplace_back(x, std::log2(static_cast<double>(statistics.experts)));
  }
  chart.series = {std::move(trace), std::move(uniform)};
  return chart;
}

// The share of choices that an LRU cache of so many slots would hit.
ChartSeries HitsOfLru(const std::vector<uint64_t>& reuse, uint64_t first, size_t top_k,
                      std::string name) {
  ChartSeries series{.name = std::move(name)};
  uint64_t all = first;
  for (const uint64_t count : reuse) all += count;
  uint64_t hits = 0;
  for (size_t d = 0; d < reuse.size(); ++d) {
    hits += reuse[d];
    if (d + 1 < top_k) continue;
    series.points.emplace_back(static_cast<double>(d + 1),
                               static_cast<double>(hits) / static_cast<double>(all));
  }
  return series;
}

LineChart Reuse(const TraceStatistics& statistics, const OverallStatistics& all) {
  const auto top_k = static_cast<size_t>(statistics.top_k);
  LineChart chart{
      .text = {.title = "Reuse: how many experts must be kept",
               .help = "The share of choices that a layer would find in memory if it kept the "
                       "experts that it used last, so many of them (LRU). Where the curve turns "
                       "flat, more memory no longer helps.",
               .x_axis = "experts kept per layer",
               .y_axis = "choices found in memory"},
      .y_unit = ChartUnit::kPercent,
      .y_max = 1};
  chart.series.push_back(HitsOfLru(all.reuse, all.first_choices, top_k, "all layers"));
  for (const size_t l : ShownLayers(statistics.layers.size())) {
    const LayerStatistics& layer = statistics.layers[l];
    chart.series.push_back(
        HitsOfLru(layer.reuse, layer.first_choices, top_k, fmt::format("layer {}", l)));
  }
  ChartSeries chance{.name = "by chance", .dashed = true};
  chance.points = {{0, 0}, {static_cast<double>(statistics.experts), 1}};
  chart.series.push_back(std::move(chance));
  return chart;
}

BarChart ReuseHistogram(const TraceStatistics& statistics, const OverallStatistics& all) {
  BarChart bars{.text = {.title = "Reuse distances",
                         .help = "When an expert is chosen again: how many others its layer has "
                                 "used in between. Bars to the left are experts that come back "
                                 "soon; the long tail is what a cache misses.",
                         .x_axis = "distinct experts in between",
                         .y_axis = "share of choices"},
                .value_name = "of the choices",
                .y_unit = ChartUnit::kPercent};
  const auto choices = static_cast<double>(statistics.tokens * statistics.top_k) *
                       static_cast<double>(statistics.layers.size());
  // At most so many bars that each can be seen.
  const size_t width = (all.reuse.size() + 63) / 64;
  for (size_t d = 0; d < all.reuse.size(); d += width) {
    uint64_t count = 0;
    const size_t end = std::min(d + width, all.reuse.size());
    for (size_t i = d; i < end; ++i) count += all.reuse[i];
    bars.labels.push_back(width == 1 ? fmt::format("{}", d) : fmt::format("{}–{}", d, end - 1));
    bars.values.push_back(static_cast<double>(count) / choices);
  }
  return bars;
}

LineChart WorkingSet(const TraceStatistics& statistics, const OverallStatistics& all) {
  LineChart chart{.text = {.title = "Growth of the working set",
                           .help = "How many different experts of a layer a run of consecutive "
                                   "tokens needs. A curve far below the dashed one means that "
                                   "text stays with its experts for a while.",
                           .x_axis = "consecutive tokens",
                           .y_axis = "different experts per layer"},
                  .x_scale = Scale::kLog2,
                  .y_max = static_cast<double>(statistics.experts)};
  ChartSeries mean{.name = "mean of all layers"};
  ChartSeries chance{.name = "by chance", .dashed = true};
  const auto experts = static_cast<double>(statistics.experts);
  for (size_t i = 0; i < kWindows.size(); ++i) {
    if (std::isnan(all.working_set[i])) continue;
    const auto window = static_cast<double>(kWindows[i]);
    mean.points.emplace_back(window, all.working_set[i]);
    // Every token leaves an expert out with probability 1 - k/E.
    chance.points.emplace_back(
        window,
        experts * (1 - std::pow(1 - static_cast<double>(statistics.top_k) / experts, window)));
  }
  chart.series.push_back(std::move(mean));
  for (const size_t l : ShownLayers(statistics.layers.size())) {
    ChartSeries series{.name = fmt::format("layer {}", l)};
    for (size_t i = 0; i < kWindows.size(); ++i) {
      const double value = statistics.layers[l].working_set[i];
      if (!std::isnan(value)) series.points.emplace_back(static_cast<double>(kWindows[i]), value);
    }
    chart.series.push_back(std::move(series));
  }
  chart.series.push_back(std::move(chance));
  return chart;
}

LineChart Predictability(const TraceStatistics& statistics) {
  LineChart chart{.text = {.title = "How well experts can be guessed",
                           .help = "The share of a token's experts that are among as many guesses: "
                                   "those of the token before, the layer's most used, or those "
                                   "that usually follow the experts of the layer before.",
                           .x_axis = "layer",
                           .y_axis = "guessed right"},
                  .y_unit = ChartUnit::kPercent,
                  .y_max = 1};
  ChartSeries affinity{.name = "from the layer before"};
  ChartSeries same{.name = "as the token before"};
  ChartSeries popular{.name = "most used"};
  ChartSeries chance{.name = "by chance", .dashed = true};
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    const LayerStatistics& layer = statistics.layers[l];
    const auto x = static_cast<double>(l);
    affinity.points.emplace_back(x, layer.recall_affinity);
    same.points.emplace_back(x, layer.overlap);
    popular.points.emplace_back(x, layer.recall_popular);
    chance.points.emplace_back(
        x, static_cast<double>(statistics.top_k) / static_cast<double>(statistics.experts));
  }
  chart.series = {std::move(affinity), std::move(same), std::move(popular), std::move(chance)};
  return chart;
}

// Pairs as shares of the tokens that chose the first expert. Experts that hardly any token chose
// would show nothing but chance: their rows stay empty.
constexpr uint64_t kFewTokens = 20;
HeatMap Pairs(std::span<const uint32_t> pairs, const LayerStatistics& layer, size_t experts) {
  HeatMap map{.rows = experts, .columns = experts, .unit = ChartUnit::kPercent};
  for (size_t a = 0; a < experts; ++a) {
    const auto chosen = static_cast<double>(layer.counts[a]);
    for (size_t b = 0; b < experts; ++b) {
      map.values.push_back(layer.counts[a] < kFewTokens ? 0 : pairs[a * experts + b] / chosen);
    }
  }
  return map;
}

HeatMap Together(const TraceStatistics& statistics, size_t number) {
  const LayerStatistics& layer = statistics.layers[number];
  const auto experts = static_cast<size_t>(statistics.experts);
  HeatMap map = Pairs(layer.together, layer, experts);
  for (size_t e = 0; e < experts; ++e) map.values[e * experts + e] = 0;
  map.text = {
      .title = fmt::format("Experts chosen together in layer {}", number),
      .help =
          "Of the tokens that chose the expert of the row, how many also chose that of "
          "the column. Strong cells are pairs that should be kept or fetched together; "
          "strong columns are simply popular experts. Rows of fewer than 20 tokens are empty.",
      .x_axis = "expert",
      .y_axis = "expert"};
  map.value_name = "of the row's tokens";
  map.row_name = "expert";
  map.column_name = "with";
  return map;
}

HeatMap Next(const TraceStatistics& statistics, size_t number) {
  const LayerStatistics& layer = statistics.layers[number];
  const auto experts = static_cast<size_t>(statistics.experts);
  HeatMap map = Pairs(layer.next, layer, experts);
  map.text = {
      .title = fmt::format("From layer {} to layer {}", number, number + 1),
      .help =
          "Of the tokens that chose the expert of the row, how many then chose that of "
          "the column in the next layer. Strong cells are what a prefetcher can foresee; "
          "columns that are strong from top to bottom need no foresight. Rows of fewer than "
          "20 tokens are empty.",
      .x_axis = fmt::format("expert of layer {}", number + 1),
      .y_axis = fmt::format("expert of layer {}", number)};
  map.value_name = "of the row's tokens";
  map.row_name = fmt::format("layer {} expert", number);
  map.column_name = fmt::format("layer {} expert", number + 1);
  return map;
}

}  // namespace

void AddTraceFigures(const std::string& name, const TraceStatistics& statistics,
                     HtmlReport* report) {
  const OverallStatistics all = Overall(statistics);
  report->AddHeading(name);
  AddSummary(statistics, all, report);
  report->AddFigure(DrawHeatMap(ExpertUse(statistics)));
  report->AddFigure(DrawLines(Entropy(statistics)));
  for (const size_t layer : ShownLayers(statistics.layers.size())) {
    report->AddFigure(DrawBars(ExpertBars(statistics, layer)));
  }
  report->AddFigure(DrawLines(Reuse(statistics, all)));
  report->AddFigure(DrawBars(ReuseHistogram(statistics, all)));
  report->AddFigure(DrawLines(WorkingSet(statistics, all)));
  report->AddFigure(DrawLines(Predictability(statistics)));
  for (const size_t layer : ShownLayers(statistics.layers.size())) {
    report->AddFigure(DrawHeatMap(Together(statistics, layer)));
    if (layer + 1 < statistics.layers.size()) {
      report->AddFigure(DrawHeatMap(Next(statistics, layer)));
    }
  }
}

}  // namespace sluice
