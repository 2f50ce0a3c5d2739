// sluice replay: recorded routing under other policies and capacities, side by side.
#include "sim/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/replay_flags.h"
#include "policy/prepare.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// One cell of the comparison.
struct Cell {
  size_t trace = 0;
  std::string policy;
  PolicySpec spec;
  int64_t capacity = 0;  // slots per layer; 0: as recorded
  ReplayOptions options;
  std::optional<ReplayResult> result;
};

Json CountsJson(const DecisionCounts& counts) {
  return {{"calls", counts.calls},
          {"accesses", counts.accesses},
          {"hits", counts.hits},
          {"hit_rate", counts.accesses == 0 ? 0.0
                                            : static_cast<double>(counts.hits) /
                                                  static_cast<double>(counts.accesses)},
          {"misses", counts.misses()},
          {"demand_misses", counts.demand_misses},
          {"insertions", counts.insertions},
          {"evictions", counts.evictions},
          {"in_place", counts.in_place},
          {"prefetches", counts.prefetches},
          {"prefetches_used", counts.prefetches_used},
          {"prefetches_wasted", counts.prefetches_wasted}};
}

class ReplayCommand final : public Command {
 public:
  explicit ReplayCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("replay", "judge policies on recorded routing");
    app->add_option("trace", paths_, "traces (JSONL, .npz, binary)")->required();
    app->add_option("-p,--policy", policies_,
                    "a shipped policy or a .moe file; may be repeated (default: lru, lfu, "
                    "default)")
        ->allow_extra_args(false);
    app->add_option("-C,--capacity", capacities_,
                    "expert slots per layer, staging included: 16,32,64 (default: an eighth, a "
                    "quarter and half of the experts)")
        ->delimiter(',');
    app->add_option("--budget", budget_, "memory for experts instead of --capacity, e.g. 6GiB");
    app->add_flag("--no-bounds", no_bounds_, "leave out the rows of lru and of Belady's bound");
    app->add_option("--first-step", first_step_, "count from this step on (before it: warm-up)");
    app->add_option("--steps", steps_, "stop after so many counted steps");
    app->add_option("-t,--threads", threads_, "replays at a time (default: one per core)");
    app->add_option("--profile", files_.profile,
                    "popularity of the experts, for policies that start from one");
    app->add_option("--table", files_.table, "what follows what, for policies that predict by it");
    AddLinkFlags(app, &link_);
    app->add_flag("--per-layer", per_layer_, "with --json or --csv: figures of each layer too");
    app->add_flag("--json", json_, "print an array of rows");
    app->add_flag("--csv", csv_, "print comma-separated rows");
    app->footer(
        "Without --policy and --capacity a trace of `sluice run --trace` is replayed as it ran.\n"
        "Example: sluice replay t.jsonl --policy lru --policy my.moe --capacity 16,32");
  }

  int Run() override {
    const Status status = Compare();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Compare() {
    for (const std::string& path : paths_) {
      SLUICE_TRY_ASSIGN(Trace trace, ReadTrace(path));
      traces_.push_back(std::move(trace));
    }
    for (size_t t = 0; t < traces_.size(); ++t) SLUICE_TRY(Plan(t));
    SLUICE_TRY(RunAll());
    if (json_) {
      PrintJson();
    } else if (csv_) {
      PrintCsv();
    } else {
      PrintTable();
    }
    return {};
  }

  Status Plan(size_t t) {
    const Trace& trace = traces_[t];
    SLUICE_TRY_ASSIGN(const LinkModel link, ResolveLink(link_, trace.meta));
    ReplayOptions options{.link = link,
                          .ticks = {.bytes_per_call = link.bytes_per_second * link.compute_seconds},
                          .first_step = first_step_};
    if (steps_ > 0) options.end_step = first_step_ + steps_;
    if (policies_.empty() && capacities_.empty() && budget_.empty() && !trace.meta.policy.empty()) {
      PolicySource recorded{
          .file_name = paths_[t], .text = trace.meta.policy, .policy = trace.meta.policy_name};
      SLUICE_TRY_ASSIGN(const PreparedPolicy prepared,
                        PreparePolicy(std::move(recorded), CompileFor(trace.meta, link), files_));
      options.slots = trace.meta.slots;
      options.ticks.bytes_per_call = trace.meta.link_bytes_per_call;
      options.times = PlacementTimes();  // as the engine has them
      options.popularity = prepared.popularity;
      options.table = prepared.table;
      runs_.push_back({.trace = t,
                       .policy = prepared.spec.name,
                       .spec = prepared.spec,
                       .options = std::move(options)});
      return {};
    }
    SLUICE_TRY_ASSIGN(const std::vector<int64_t> capacities, Capacities(trace.meta, link));
    for (const int64_t capacity : capacities) {
      options.slots = capacity * trace.meta.layers;
      std::vector<std::string> names = policies_;
      if (names.empty()) names = {"lru", "lfu", "default"};
      if (!no_bounds_ && std::ranges::find(names, "lru") == names.end()) {
        names.insert(names.begin(), "lru");
      }
      for (const std::string& name : names) {
        SLUICE_TRY_ASSIGN(PreparedPolicy prepared,
                          PreparePolicy(name, CompileFor(trace.meta, link), files_));
        options.popularity = std::move(prepared.popularity);
        options.table = std::move(prepared.table);
        AddRun(t, name, std::move(prepared.spec), capacity, options);
      }
      if (no_bounds_) continue;
      PolicySpec bound;
      bound.name = "belady";
      bound.cache.eviction.primary = "belady";
      AddRun(t, "belady", std::move(bound), capacity, options);
    }
    return {};
  }

  static CompileOptions CompileFor(const TraceMeta& meta, const LinkModel& link) {
    return {.shape = TargetModel{.layers = static_cast<int32_t>(meta.layers),
                                 .experts = static_cast<int32_t>(meta.experts),
                                 .top_k = static_cast<int32_t>(meta.top_k),
                                 .expert_bytes = static_cast<uint64_t>(link.expert_bytes)},
            .use = PolicyUse::kReplay};
  }

  void AddRun(size_t t, const std::string& name, PolicySpec spec, int64_t capacity,
              const ReplayOptions& options) {
    // All compared policies get the same memory, whatever they say themselves.
    spec.cache.capacity = {.kind = Capacity::Kind::kAuto, .amount = 0};
    runs_.push_back({.trace = t,
                     .policy = name,
                     .spec = std::move(spec),
                     .capacity = capacity,
                     .options = options});
  }

  Result<std::vector<int64_t>> Capacities(const TraceMeta& meta, const LinkModel& link) const {
    if (!budget_.empty()) {
      SLUICE_TRY_ASSIGN(const uint64_t bytes, ParseByteSize(budget_));
      const auto slots = static_cast<int64_t>(static_cast<double>(bytes) / link.expert_bytes);
      if (slots < meta.layers) {
        return InvalidArgumentError(
            fmt::format("--budget {} holds {} experts, less than one for each of {} layers",
                        budget_, slots, meta.layers));
      }
      return std::vector<int64_t>{std::min(slots / meta.layers, meta.experts)};
    }
    if (capacities_.empty()) {
      std::vector<int64_t> defaults;
      for (const int64_t part : {8, 4, 2}) {
        defaults.push_back(std::max<int64_t>(1, meta.experts / part));
      }
      return defaults;
    }
    for (const int64_t capacity : capacities_) {
      if (capacity < 1 || capacity > meta.experts) {
        return InvalidArgumentError(
            fmt::format("--capacity {}: a layer of this trace has {} experts; write 1 to {}",
                        capacity, meta.experts, meta.experts));
      }
    }
    return capacities_;
  }

  Status RunAll() {
    const int threads = std::clamp(threads_ > 0 ? threads_ : AvailableCores(), 1, 64);
    std::atomic<size_t> next = 0;
    std::mutex mutex;  // guards `failure` and the progress bar
    Status failure;
    size_t done = 0;
    const auto work = [&] {
      while (true) {
        const size_t i = next++;
        if (i >= runs_.size()) return;
        Cell& run = runs_[i];
        Result<ReplayResult> result = Replay(traces_[run.trace], run.spec, run.options);
        const std::lock_guard lock(mutex);
        ++done;
        if (result.ok()) {
          run.result = std::move(result).value();
        } else if (failure.ok()) {
          failure = result.status().Annotate(
              fmt::format("{} with policy {}", paths_[run.trace], run.policy));
        }
        if (ShowsProgress()) {
          DrawProgress("replaying", static_cast<double>(done) / static_cast<double>(runs_.size()));
        }
      }
    };
    {
      std::vector<std::jthread> pool;
      for (int i = 1; i < threads; ++i) pool.emplace_back(work);
      work();
    }
    if (ShowsProgress()) ClearProgress();
    return failure;
  }

  const Cell* Find(const Cell& like, const std::string& policy) const {
    for (const Cell& run : runs_) {
      if (run.trace == like.trace && run.capacity == like.capacity && run.policy == policy) {
        return &run;
      }
    }
    return nullptr;
  }

  // How much of the way from LRU to Belady's bound, in demand misses.
  std::optional<double> GapClosed(const Cell& run) const {
    const Cell* lru = Find(run, "lru");
    const Cell* belady = Find(run, "belady");
    if (lru == nullptr || belady == nullptr) return std::nullopt;
    const auto misses = [](const Cell* r) {
      return static_cast<double>(r->result->totals.demand_misses);
    };
    const double gap = misses(lru) - misses(belady);
    if (gap <= 0) return std::nullopt;
    return (misses(lru) - misses(&run)) / gap;
  }

  static double HitRate(const DecisionCounts& counts) {
    return counts.accesses == 0
               ? 0
               : static_cast<double>(counts.hits) / static_cast<double>(counts.accesses);
  }
  static double PerToken(double amount, const ReplayResult& result) {
    return result.tokens == 0 ? 0 : amount / static_cast<double>(result.tokens);
  }

  void PrintTable() const {
    size_t trace = SIZE_MAX;
    int64_t capacity = -1;
    for (const Cell& run : runs_) {
      const ReplayResult& r = *run.result;
      if (run.trace != trace || run.capacity != capacity) {
        const TraceMeta& meta = traces_[run.trace].meta;
        const LinkModel& link = run.options.link;
        fmt::print(
            "{}{}: {} layers x {} experts, top-{}, {} tokens; {} per layer; {:.2f} MB per "
            "expert over {:.2f} GB/s, {:.2f} ms compute per layer\n",
            trace == SIZE_MAX ? "" : "\n", paths_[run.trace], meta.layers, meta.experts, meta.top_k,
            r.tokens,
            run.capacity > 0 ? fmt::format("{} slots", run.capacity)
                             : fmt::format("{} slots in all, not", r.slots),
            link.expert_bytes / 1e6, link.bytes_per_second / 1e9, link.compute_seconds * 1e3);
        fmt::print("{:<24}{:>9}{:>12}{:>9}{:>12}{:>10}{:>11}{:>7}{:>13}{:>12}\n", "policy", "hits",
                   "misses/tok", "gap", "read/tok", "wasted", "evict/tok", "adapt", "stall/tok",
                   "decision");
        trace = run.trace;
        capacity = run.capacity;
      }
      const std::optional<double> gap = GapClosed(run);
      fmt::print(
          "{:<24}{:>8.2f}%{:>12.2f}{:>9}{:>12}{:>10}{:>11.2f}{:>7}{:>10.3f} ms{:>9.0f} ns\n",
          run.policy, 100 * HitRate(r.totals),
          PerToken(static_cast<double>(r.totals.demand_misses), r),
          gap ? fmt::format("{:.1f}%", 100 * *gap) : "-",
          FormatByteSize(static_cast<uint64_t>(PerToken(r.bytes_read, r))),
          r.totals.prefetches == 0
              ? "-"
              : fmt::format("{:.1f}%", 100 * static_cast<double>(r.totals.prefetches_wasted) /
                                           static_cast<double>(r.totals.prefetches)),
          PerToken(static_cast<double>(r.totals.evictions), r), r.adapt_firings,
          1e3 * PerToken(r.stall_seconds, r), r.decision_ns);
    }
    fmt::print(
        "\ngap: share of the demand misses between lru and Belady's bound that the policy avoids; "
        "wasted: prefetched experts that nobody used\n");
  }

  Json RowJson(const Cell& run) const {
    const ReplayResult& r = *run.result;
    Json row = {{"trace", paths_[run.trace]}, {"policy", run.policy}};
    row["capacity"] = run.capacity;
    row.update(CountsJson(r.totals));
    row["bytes_read"] = r.bytes_read;
    row["stall_s"] = r.stall_seconds;
    row["seconds"] = r.seconds;
    row["decision_ns"] = r.decision_ns;
    row["steps"] = r.steps;
    row["tokens"] = r.tokens;
    row["slots"] = r.slots;
    row["staging_slots"] = r.staging_slots;
    row["adapt_firings"] = r.adapt_firings;
    const std::optional<double> gap = GapClosed(run);
    row["gap_closed"] = gap ? Json(*gap) : Json();
    return row;
  }

  // What each layer did in each phase, where it was called at all.
  static std::vector<Json> LayerRows(const Cell& run) {
    std::vector<Json> rows;
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      const auto& layers = run.result->rows[static_cast<size_t>(phase)];
      for (size_t l = 0; l < layers.size(); ++l) {
        if (layers[l].counts.calls == 0) continue;
        Json row = {{"layer", l}, {"phase", phase == Phase::kDecode ? "decode" : "prefill"}};
        row.update(CountsJson(layers[l].counts));
        row["stall_s"] = layers[l].stall_seconds;
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }

  void PrintJson() const {
    Json rows = Json::array();
    for (const Cell& run : runs_) {
      Json row = RowJson(run);
      if (per_layer_) row["layers"] = LayerRows(run);
      for (const AdaptEvent& event : run.result->events) {
        row["events"].push_back({{"step", event.step}, {"rule", event.rule}, {"what", event.what}});
      }
      rows.push_back(std::move(row));
    }
    fmt::print("{}\n", rows.dump(2, ' ', false, Json::error_handler_t::replace));
  }

  static std::string CsvField(const Json& value) {
    if (!value.is_string()) return value.is_null() ? "" : value.dump();
    const auto& text = value.get_ref<const std::string&>();
    if (text.find_first_of(",\"\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
  }

  // One line per row, after a header.
  static void PrintCsvRows(const std::vector<Json>& rows) {
    if (rows.empty()) return;
    std::string header;
    for (const auto& [key, value] : rows[0].items()) header += (header.empty() ? "" : ",") + key;
    fmt::print("{}\n", header);
    for (const Json& row : rows) {
      std::string line;
      for (const auto& [key, value] : row.items()) {
        line += (line.empty() ? "" : ",") + CsvField(value);
      }
      fmt::print("{}\n", line);
    }
  }

  void PrintCsv() const {
    std::vector<Json> rows;
    for (const Cell& run : runs_) {
      if (!per_layer_) {
        rows.push_back(RowJson(run));
        continue;
      }
      for (Json& layer : LayerRows(run)) {
        Json row = {
            {"trace", paths_[run.trace]}, {"policy", run.policy}, {"capacity", run.capacity}};
        row.update(layer);
        rows.push_back(std::move(row));
      }
    }
    PrintCsvRows(rows);
  }

  std::vector<std::string> paths_;
  std::vector<std::string> policies_;
  std::vector<int64_t> capacities_;
  std::string budget_;
  PolicyFiles files_;
  LinkFlags link_;
  uint64_t first_step_ = 0;
  uint64_t steps_ = 0;
  int threads_ = 0;
  bool no_bounds_ = false;
  bool per_layer_ = false;
  bool json_ = false;
  bool csv_ = false;
  std::vector<Trace> traces_;
  std::vector<Cell> runs_;
};

}  // namespace

std::unique_ptr<Command> AddReplayCommand(CLI::App* program) {
  return std::make_unique<ReplayCommand>(program);
}

}  // namespace sluice
