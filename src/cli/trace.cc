// sluice trace: converts recorded routing, measures it, and draws it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/write_file.h"
#include "cli/command.h"
#include "cli/replay_flags.h"
#include "policy/prepare.h"
#include "routing/trace_reader.h"
#include "routing/trace_writers.h"
#include "sim/policy_report.h"
#include "sim/trace_knowledge.h"
#include "sim/trace_report.h"
#include "sim/trace_statistics.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN: what there is no figure for is null.
Json Figure(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json WorkingSets(const std::array<double, kWindows.size()>& sets) {
  Json object = Json::object();
  for (size_t i = 0; i < kWindows.size(); ++i) {
    object[std::to_string(kWindows[i])] = Figure(sets[i]);
  }
  return object;
}

// The pairs that are chosen together most often beyond what their popularity explains.
Json StrongestPairs(const TraceStatistics& statistics, const LayerStatistics& layer) {
  constexpr size_t kShown = 3;
  struct Pair {
    size_t a = 0, b = 0;
    double excess = 0;  // tokens
    double lift = 0;
  };
  std::vector<Pair> best;
  const auto experts = static_cast<size_t>(statistics.experts);
  for (size_t a = 0; a < experts; ++a) {
    for (size_t b = a + 1; b < experts; ++b) {
      const double expected = static_cast<double>(layer.counts[a]) *
                              static_cast<double>(layer.counts[b]) /
                              static_cast<double>(statistics.tokens);
      const double both = layer.together[a * experts + b];
      if (both <= expected) continue;
      best.push_back({.a = a, .b = b, .excess = both - expected, .lift = both / expected});
      std::ranges::stable_sort(best,
                               [](const Pair& x, const Pair& y) { return x.excess > y.excess; });
      if (best.size() > kShown) best.pop_back();
    }
  }
  Json pairs = Json::array();
  for (const Pair& pair : best) {
    pairs.push_back({{"experts", {pair.a, pair.b}},
                     {"tokens", layer.together[pair.a * experts + pair.b]},
                     {"lift", pair.lift}});
  }
  return pairs;
}

Json ReuseJson(const std::vector<uint64_t>& reuse, uint64_t first) {
  return {{"first_choices", first},
          {"median", ReuseQuantile(reuse, 0.5)},
          {"p90", ReuseQuantile(reuse, 0.9)},
          {"histogram", reuse}};
}

Json StatisticsJson(const std::string& name, const TraceStatistics& statistics) {
  const OverallStatistics all = Overall(statistics);
  Json json = {{"trace", name},
               {"layers", statistics.layers.size()},
               {"experts", statistics.experts},
               {"top_k", statistics.top_k},
               {"tokens", statistics.tokens},
               {"steps", statistics.steps},
               {"conversations", statistics.conversations},
               {"entropy_bits", Figure(all.entropy_bits)},
               {"uniform_bits", all.uniform_bits},
               {"top_tenth_share", Figure(all.top_tenth_share)},
               {"gini", Figure(all.gini)},
               {"overlap", Figure(all.overlap)},
               {"recall_popular", Figure(all.recall_popular)},
               {"recall_affinity", Figure(all.recall_affinity)},
               {"next_layer_bits", Figure(all.next_layer_bits)},
               {"working_set", WorkingSets(all.working_set)},
               {"reuse", ReuseJson(all.reuse, all.first_choices)}};
  Json layers = Json::array();
  for (const LayerStatistics& layer : statistics.layers) {
    layers.push_back({{"layer", layers.size()},
                      {"entropy_bits", Figure(layer.entropy_bits)},
                      {"top_tenth_share", Figure(layer.top_tenth_share)},
                      {"gini", Figure(layer.gini)},
                      {"overlap", Figure(layer.overlap)},
                      {"recall_popular", Figure(layer.recall_popular)},
                      {"recall_affinity", Figure(layer.recall_affinity)},
                      {"next_layer_bits", Figure(layer.next_layer_bits)},
                      {"working_set", WorkingSets(layer.working_set)},
                      {"reuse", ReuseJson(layer.reuse, layer.first_choices)},
                      {"together", StrongestPairs(statistics, layer)},
                      {"counts", layer.counts}});
  }
  json["per_layer"] = std::move(layers);
  return json;
}

std::string Cell(double value, int digits, double factor = 1) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", factor * value, digits) : "-";
}

constexpr size_t WindowIndex(int64_t tokens) {
  size_t i = 0;
  while (kWindows[i] != tokens) ++i;
  return i;
}

template <typename Statistics>  // of a layer, or Overall
void PrintRow(const std::string& name, const Statistics& row) {
  fmt::print("{:>6} {:>8} {:>7} {:>6} {:>8} {:>8} {:>9} {:>6} {:>6} {:>6} {:>7} {:>7} {:>6}\n",
             name, Cell(row.entropy_bits, 3), Cell(row.top_tenth_share, 1, 100), Cell(row.gini, 3),
             Cell(row.overlap, 1, 100), Cell(row.recall_popular, 1, 100),
             Cell(row.recall_affinity, 1, 100), Cell(row.working_set[WindowIndex(8)], 1),
             Cell(row.working_set[WindowIndex(32)], 1), Cell(row.working_set[WindowIndex(128)], 1),
             ReuseQuantile(row.reuse, 0.5), ReuseQuantile(row.reuse, 0.9),
             Cell(row.next_layer_bits, 3));
}

void PrintText(const std::string& name, const TraceStatistics& statistics) {
  const OverallStatistics all = Overall(statistics);
  fmt::print("{}\n  {} layers, {} experts, {} per token; {} tokens in {} steps, {} conversations\n",
             name, statistics.layers.size(), statistics.experts, statistics.top_k,
             statistics.tokens, statistics.steps, statistics.conversations);
  fmt::print("  entropy at most {:.3f} bits; a guess by chance is right in {:.1f} %\n\n",
             all.uniform_bits,
             100 * static_cast<double>(statistics.top_k) / static_cast<double>(statistics.experts));
  fmt::print("{:>6} {:>8} {:>7} {:>6} {:>8} {:>8} {:>9} {:>20} {:>15} {:>6}\n", "", "entropy",
             "top", "", "token", "most", "layer", "experts in", "reuse distance", "next");
  fmt::print("{:>6} {:>8} {:>7} {:>6} {:>8} {:>8} {:>9} {:>6} {:>6} {:>6} {:>7} {:>7} {:>6}\n",
             "layer", "bits", "10% %", "gini", "before %", "used %", "before %", "8", "32", "128 t",
             "median", "90 %", "bits");
  for (size_t l = 0; l < statistics.layers.size(); ++l) {
    PrintRow(std::to_string(l), statistics.layers[l]);
  }
  PrintRow("all", all);
}

class TraceCommand final : public Command {
 public:
  explicit TraceCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("trace", "recorded routing: convert, measure, draw");
    app->require_subcommand(1);
    std::string formats = "formats:";
    for (const TraceFormat& format : TraceFormats()) {
      formats += fmt::format("\n  {:<8}{}", format.name, format.summary);
    }
    app->footer(formats + "\n\nExample: sluice trace stats models/rill/trace.jsonl");

    convert_ = app->add_subcommand("convert", "write a trace in another format");
    convert_->add_option("in", in_, "the trace")->required();
    convert_->add_option("out", out_, "the file to write: .jsonl, or .sltr (compact)")->required();
    convert_->add_option("--from", from_, "its format (default: as the file begins)");
    convert_->add_option("--to", to_, "format to write (default: as the name ends)");
    convert_->footer(formats + "\n\nExample: sluice trace convert routing.npz routing.sltr");

    stats_ = app->add_subcommand("stats",
                                 "per layer: entropy, skew, reuse, working sets, predictability");
    stats_->add_option("traces", traces_, "traces of any format")->required();
    stats_->add_flag("--json", json_, "print JSON: an array with an object per trace");
    stats_->footer("Example: sluice trace stats models/rill/trace.jsonl --json");

    profile_ = app->add_subcommand("profile", "how popular every expert was, for init = profile");
    table_ = app->add_subcommand("table", "which expert follows which, for strategy = predictor");
    for (CLI::App* teach : {profile_, table_}) {
      teach->add_option("trace", in_, "the trace")->required();
      teach->add_option("-o,--output", out_, "the file to write")->required();
      teach->add_option("--from", from_, "the trace's format (default: as the file begins)");
    }
    table_->add_option("--least", least_, "leave out pairs that were seen fewer times")
        ->capture_default_str();

    plot_ = app->add_subcommand("plot", "the same as pictures: one HTML page");
    plot_->add_option("traces", traces_, "traces of any format")->required();
    plot_->add_option("-o,--output", out_, "the page to write")->required();
    plot_
        ->add_option("-p,--policy", policies_,
                     "policies to draw over the memory they are given (default: lru, default); "
                     "none: leave these figures out")
        ->allow_extra_args(false);
    AddLinkFlags(plot_, &link_);
    plot_->footer("Example: sluice trace plot models/rill/trace.jsonl -o report.html");
  }

  int Run() override {
    const Status status = RunChosen();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status RunChosen() {
    if (convert_->parsed()) return Convert();
    if (stats_->parsed()) return Stats();
    if (profile_->parsed()) return Teach([](const Trace& trace) { return MakeProfile(trace); });
    if (table_->parsed()) {
      return Teach([this](const Trace& trace) { return MakeTable(trace, least_); });
    }
    return Plot();
  }

  // Writes what policies may start from.
  template <typename Make>
  Status Teach(const Make& make) {
    SLUICE_TRY_ASSIGN(const Trace trace, ReadTrace(in_, from_));
    return WriteWholeFile(out_, make(trace));
  }

  Status DrawPolicies(const Trace& trace, HtmlReport* report) {
    if (policies_ == std::vector<std::string>{"none"}) return {};
    SLUICE_TRY_ASSIGN(const LinkModel link, ResolveLink(link_, trace.meta));
    std::vector<PreparedPolicy> prepared;
    for (const std::string& name :
         policies_.empty() ? std::vector<std::string>{"lru", "default"} : policies_) {
      SLUICE_TRY_ASSIGN(PreparedPolicy policy, PreparePolicy(name, {.use = PolicyUse::kReplay}));
      prepared.push_back(std::move(policy));
    }
    return AddPolicyFigures(
        trace, prepared,
        {.link = link, .ticks = {.bytes_per_call = link.bytes_per_second * link.compute_seconds}},
        report);
  }

  Status Convert() {
    SLUICE_TRY_ASSIGN(const Trace trace, ReadTrace(in_, from_));
    return WriteTrace(trace, out_, to_);
  }

  // Reads and measures every trace in turn.
  template <typename Use>
  Status ForTraces(const Use& use) {
    for (const std::string& path : traces_) {
      SLUICE_TRY_ASSIGN(const Trace trace, ReadTrace(path));
      const Result<TraceStatistics> statistics = ComputeTraceStatistics(trace);
      if (!statistics.ok()) return statistics.status().Annotate(path);
      use(path, trace, *statistics);
    }
    return {};
  }

  Status Stats() {
    Json all = Json::array();
    bool first = true;
    SLUICE_TRY(ForTraces(
        [&](const std::string& path, const Trace& /*trace*/, const TraceStatistics& statistics) {
          if (json_) {
            all.push_back(StatisticsJson(path, statistics));
            return;
          }
          if (!first) fmt::print("\n");
          first = false;
          PrintText(path, statistics);
        }));
    if (json_) fmt::print("{}\n", all.dump(1, ' ', false, Json::error_handler_t::replace));
    return {};
  }

  Status Plot() {
    HtmlReport report("Routing of mixture-of-experts models");
    report.AddParagraph(
        "For every token each layer's router chose a few of the layer's experts. These pictures "
        "show how it chose, and so what a cache of experts can hope for. Point at anything for its "
        "figure.");
    Status drawn;
    SLUICE_TRY(ForTraces(
        [&](const std::string& path, const Trace& trace, const TraceStatistics& statistics) {
          const std::string& model = trace.meta.model;
          AddTraceFigures(model.empty() ? path : fmt::format("{} ({})", model, path), statistics,
                          &report);
          if (drawn.ok()) drawn = DrawPolicies(trace, &report);
        }));
    SLUICE_TRY(drawn);
    return WriteWholeFile(out_, report.Finish());
  }

  CLI::App* convert_ = nullptr;
  CLI::App* stats_ = nullptr;
  CLI::App* plot_ = nullptr;
  CLI::App* profile_ = nullptr;
  CLI::App* table_ = nullptr;
  std::string in_;
  std::string out_;
  std::string from_;
  std::string to_;
  std::vector<std::string> traces_;
  std::vector<std::string> policies_;
  LinkFlags link_;
  int64_t least_ = 5;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> AddTraceCommand(CLI::App* program) {
  return std::make_unique<TraceCommand>(program);
}

}  // namespace sluice
