// sluice bench: tokens per second of prefill and decode, row by row.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/bench_bound.h"
#include "cli/command.h"
#include "cli/stats_json.h"
#include "cli/token_file.h"
#include "machine/machine_profile.h"
#include "machine/memory_speed.h"
#include "model/embedded_model.h"
#include "model/model.h"
#include "plan/memory_plan.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  std::string name;
  std::vector<double> tokens_per_s;  // one per repetition
  EngineStats::Experts experts;      // of all repetitions
  RowWork work;                      // of the timed parts of all repetitions
  MachineRates rates;
};

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class BenchCommand final : public Command {
 public:
  explicit BenchCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("bench", "measure prefill and decode");
    AddEngineFlags(app, &options_);
    app->add_option("-p,--n-prompt", prompt_, "tokens of prefill (0: none)")->capture_default_str();
    app->add_option("-n,--n-gen", generate_, "tokens of decode (0: none)")->capture_default_str();
    app->add_option("-B,--batch", batch_, "sequences at a time")->capture_default_str();
    app->add_option("-r,--repetitions", repetitions_)->capture_default_str();
    app->add_option("-f,--file", text_,
                    "text to take the tokens from (default: random tokens, "
                    "which have no locality)");
    app->add_option("--tokens", tokens_file_,
                    "file of token ids to force, a sequence per line: repetition r takes the "
                    "lines r * batch to r * batch + batch - 1, and begins anew after the last")
        ->excludes("--file");
    app->add_option("-d,--depth", depth_, "tokens of context before decode begins")
        ->capture_default_str();
    app->add_flag("--no-bounds", no_bounds_,
                  "do not measure memory around each row, and print no bounds");
    app->add_flag("--json", json_, "print JSON");
    app->footer("Example: sluice bench -m model.gguf -p 512 -n 64 --json");
  }

  int Run() override {
    const Status status = Measure();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Measure() {
    if (prompt_ < 0 || generate_ < 0 || batch_ < 1 || repetitions_ < 1 || depth_ < 0) {
      return InvalidArgumentError("bench counts must be positive");
    }
    options_.parallel = batch_;
    SLUICE_TRY_ASSIGN(const std::unique_ptr<Engine> engine, Open());
    vocab_ = engine->stats().vocab;
    if (!no_bounds_) SLUICE_TRY(PrepareBounds());
    SLUICE_TRY(ReadTokens(*engine));
    std::vector<Row> rows;
    if (prompt_ > 0) {
      SLUICE_TRY_ASSIGN(Row row, Repeat(engine.get(), Phase::kPrefill, prompt_, 0));
      rows.push_back(std::move(row));
    }
    if (generate_ > 0) {
      // The first token comes with the prefill: one more is generated than is timed.
      SLUICE_TRY_ASSIGN(Row row, Repeat(engine.get(), Phase::kDecode, Context(), generate_ + 1));
      rows.push_back(std::move(row));
    }
    json_ ? PrintJson(engine->stats(), rows) : PrintText(engine->stats(), rows);
    return {};
  }

  // Tokens before decode begins: the first answer needs one.
  int64_t Context() const { return std::max<int64_t>(depth_, 1); }

  // With room for the longest row, unless it was asked for another; the engine refuses what the
  // model was not made for. A budget may shorten the steps that read contexts: a batch needs more
  // room then.
  Result<std::unique_ptr<Engine>> Open() {
    const bool sized = options_.context_tokens > 0;
    for (int64_t chunk = options_.prefill_chunk;;) {
      lead_ = Lead(chunk);
      if (!sized) options_.context_tokens = std::max(prompt_, Context() + lead_ + generate_ + 1);
      Result<std::unique_ptr<Engine>> opened = OpenWithProgress(options_);
      if (!opened.ok()) {
        return opened.status().Annotate(fmt::format("bench of {} + {} tokens", prompt_, generate_));
      }
      const int64_t given = (*opened)->stats().prefill_chunk;
      if (given >= chunk || batch_ == 1) return opened;
      chunk = given;
    }
  }

  // Steps in which the first sequence of a batch answers already while the last still reads its
  // context, at most: a step reads `chunk` tokens, less one of each that answers.
  int64_t Lead(int64_t chunk) const {
    if (batch_ == 1) return 0;
    const int64_t read = std::max<int64_t>(chunk - batch_, 1);
    return (batch_ * Context() + read - 1) / read - 1;
  }

  Status ReadTokens(const Engine& engine) {
    if (!tokens_file_.empty()) {
      SLUICE_TRY_ASSIGN(sequences_, ReadTokenFile(tokens_file_, vocab_));
      if (std::ssize(sequences_) >= batch_) return {};
      return InvalidArgumentError(
          fmt::format("{}: {} sequences; a batch of {} needs as many, each its own", tokens_file_,
                      sequences_.size(), batch_));
    }
    if (text_.empty()) return {};
    constexpr uint64_t kMaxTextBytes = 64U << 20;
    SLUICE_TRY_ASSIGN(auto file, File::Open(text_));
    SLUICE_TRY_ASSIGN(const std::string text, file->ReadAll(kMaxTextBytes));
    SLUICE_TRY_ASSIGN(tokens_, engine.Encode(text));
    if (tokens_.empty()) return InvalidArgumentError(text_ + ": no tokens in it");
    return {};
  }

  struct Forced {
    std::vector<int32_t> prompt;
    std::vector<int32_t> answer;
  };

  // What sequence `b` of a repetition is and says; the warm-up is repetition -1. Distinct tokens
  // per sequence, also for the answers: a model that repeats itself would route every token alike.
  Result<Forced> Tokens(int repetition, int b, int64_t prompt, int64_t generate) {
    if (sequences_.empty()) return Forced{.prompt = Drawn(prompt), .answer = Drawn(generate)};
    const int64_t count = std::ssize(sequences_);
    const int64_t index = ((int64_t{repetition} * batch_ + b) % count + count) % count;
    const std::vector<int32_t>& ids = sequences_[static_cast<size_t>(index)];
    if (std::ssize(ids) < prompt + generate) {
      return InvalidArgumentError(fmt::format("{}: sequence {} has {} tokens; this row needs {}",
                                              tokens_file_, index + 1, ids.size(),
                                              prompt + generate));
    }
    const auto middle = ids.begin() + prompt;
    return Forced{.prompt = {ids.begin(), middle}, .answer = {middle, middle + generate}};
  }

  // From the text, or random.
  std::vector<int32_t> Drawn(int64_t count) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(tokens_.empty()
                        ? static_cast<int32_t>(random_() % static_cast<uint64_t>(vocab_))
                        : tokens_[(next_token_ + static_cast<size_t>(i)) % tokens_.size()]);
    }
    next_token_ += static_cast<size_t>(count) + 1;
    return ids;
  }

  enum class Phase { kPrefill, kDecode };

  Result<Row> Repeat(Engine* engine, Phase phase, int64_t prompt, int64_t generate) {
    const bool decode = phase == Phase::kDecode;
    Row row{.name = fmt::format("{}{}{}{}", decode ? "tg" : "pp", decode ? generate - 1 : prompt,
                                batch_ > 1 ? fmt::format("@{}", batch_) : "",
                                decode && depth_ > 0 ? fmt::format(" d{}", depth_) : ""),
            .tokens_per_s = {},
            .experts = {}};
    SLUICE_TRY(Once(engine, phase, -1, prompt, std::min<int64_t>(generate, 4), &row.work).status());
    row.work = {};  // that was the warm-up
    row.rates = RatesFor(profile_, engine->stats().threads, work_.quantized, options_.model);
    ProbeMemory(*engine, &row.rates.memory_before);
    const EngineStats::Experts before = engine->stats().experts;
    for (int r = 0; r < repetitions_; ++r) {
      if (ShowsProgress()) DrawProgress(row.name, static_cast<double>(r) / repetitions_);
      SLUICE_TRY_ASSIGN(const double rate, Once(engine, phase, r, prompt, generate, &row.work));
      row.tokens_per_s.push_back(rate);
    }
    if (ShowsProgress()) ClearProgress();
    ProbeMemory(*engine, &row.rates.memory_after);
    row.experts = engine->stats().experts;
    row.experts.accesses -= before.accesses;
    row.experts.hits -= before.hits;
    row.experts.misses -= before.misses;
    row.experts.bytes_read -= before.bytes_read;
    row.experts.stall_s -= before.stall_s;
    return row;
  }

  // Tokens per second of all sequences together, of their prompts or of their answers.
  Result<double> Once(Engine* engine, Phase phase, int repetition, int64_t prompt, int64_t generate,
                      RowWork* work) {
    // Timed is the answer of the last sequence, whose first token comes when all others have
    // theirs; they go on until it is through.
    const int64_t more = phase == Phase::kDecode ? lead_ : 0;
    std::vector<Forced> forced;
    for (int b = 0; b < batch_; ++b) {
      const bool last = b + 1 == batch_;
      SLUICE_TRY_ASSIGN(Forced sequence,
                        Tokens(repetition, b, prompt, generate + (last ? 0 : more)));
      forced.push_back(std::move(sequence));
    }
    const auto begin = std::chrono::steady_clock::now();
    std::vector<TokenStream> streams;
    for (Forced& sequence : forced) {
      SLUICE_TRY_ASSIGN(TokenStream stream,
                        engine->Submit({.prompt_ids = std::move(sequence.prompt),
                                        .max_tokens = std::ssize(sequence.answer),
                                        .forced_ids = std::move(sequence.answer),
                                        .ignore_eos = true}));
      streams.push_back(std::move(stream));
    }
    TokenStream& last = streams.back();
    EngineStats from = engine->stats();
    if (phase == Phase::kDecode) {  // what is timed begins with its first token
      SLUICE_TRY(last.Next().status());
      from = engine->stats();
    }
    if (phase == Phase::kPrefill) {
      for (TokenStream& stream : streams) SLUICE_TRY(ReadToEnd(&stream));
    } else {
      SLUICE_TRY(ReadToEnd(&last));
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    const double seconds = phase == Phase::kPrefill ? wall.count() : last.stats().decode_s;
    const int64_t tokens = phase == Phase::kPrefill ? prompt : generate - 1;
    AddWork(phase, prompt, tokens, from, engine->stats(), work);
    work->seconds += seconds;
    return seconds > 0 ? static_cast<double>(batch_ * tokens) / seconds : 0;
  }

  static Status ReadToEnd(TokenStream* stream) {
    const CancelOnInterrupt guard(stream);
    while (true) {
      SLUICE_TRY_ASSIGN(const std::optional<Event> event, stream->Next());
      if (!event) return {};
    }
  }

  Status PrepareBounds() {
    SLUICE_TRY_ASSIGN(const Model model,
                      options_.model.empty() ? OpenEmbeddedModel() : OpenModel(options_.model));
    work_ = WorkOf(model);
    Result<MachineProfile> profile = Status(StatusCode::kNotFound, "");
    const Result<std::string> path = ProfilePath();
    if (path.ok()) profile = LoadProfile(*path);
    if (profile.ok()) {
      profile_ = *std::move(profile);
    } else if (!json_) {
      fmt::print(stderr, "sluice: bounds of memory only, which is measured here: {}\n",
                 path.ok() ? profile.status().message() : path.status().message());
    }
    return {};
  }

  // Memory bandwidth beside the row: it changes by the minute where a host moves its guests.
  void ProbeMemory(const Engine& engine, double* rate) {
    constexpr uint64_t kLeast = 256U << 20;
    constexpr uint64_t kMost = 1U << 30;
    // The budget is the process's, so the probe has what the engine leaves of it.
    const uint64_t budget = engine.stats().memory.budget;
    const uint64_t left = budget - std::min(budget, ResidentBytes());
    const uint64_t bytes = std::min({kMost, ReadMemoryState().available_bytes / 4, left});
    // The memory of the probe must not be taken for the engine's.
    peak_ = std::max(peak_, PeakResidentBytes());
    if (no_bounds_ || bytes < kLeast || !ResetPeakResidentBytes()) return;
    const Result<Rate> measured =
        MeasureMemoryRead(PageKind::kHuge, engine.stats().threads, bytes, 0.3);
    ResetPeakResidentBytes();
    if (measured.ok()) *rate = measured->best;
  }

  // Steps after `from`, taken for all steps of the timed part: the engine may have gone on before
  // it was asked.
  void AddWork(Phase phase, int64_t prompt, int64_t tokens, const EngineStats& from,
               const EngineStats& to, RowWork* work) const {
    const auto counted = static_cast<double>(to.steps - from.steps);
    if (counted == 0) return;
    const bool decode = phase == Phase::kDecode;
    const double steps = decode ? static_cast<double>(tokens) : counted;
    const double scale = steps / counted;
    const double all_tokens = static_cast<double>(batch_ * tokens);
    const double heads = decode ? all_tokens : batch_;  // sets of logits
    const double pages = std::ceil(static_cast<double>(from.context_tokens) / kPageTokens);
    const double kv_token = static_cast<double>(from.memory.kv) / (pages * kPageTokens * batch_);
    const double mean_context = static_cast<double>(prompt) + static_cast<double>(tokens) / 2;
    work->memory_bytes +=
        steps * work_.dense_bytes + (decode ? steps : 1) * work_.head_bytes +
        scale * static_cast<double>(to.experts.used - from.experts.used) * work_.expert_bytes +
        (decode ? steps * batch_ * mean_context * kv_token : 0);
    work->macs += all_tokens * (work_.dense_macs +
                                static_cast<double>(from.accesses_per_token) * work_.expert_macs) +
                  heads * work_.head_macs;
    work->disk_bytes +=
        scale * static_cast<double>(to.experts.bytes_read - from.experts.bytes_read);
  }

  // Tokens per second if the row took no longer than its bound; 0: no bound.
  static double AtBound(const Row& row, const Bound& bound) {
    double tokens = 0;  // per second, on average
    for (const double rate : row.tokens_per_s) tokens += 1 / rate;
    tokens = static_cast<double>(row.tokens_per_s.size()) / tokens;
    return bound.seconds > 0 ? tokens * row.work.seconds / bound.seconds : 0;
  }

  void PrintText(const EngineStats& stats, const std::vector<Row>& rows) const {
    fmt::print("{}: {} on {}, {} threads, {} of {} expert slots, budget {}, peak {}\n", stats.model,
               stats.architecture, stats.device, stats.threads, stats.memory.slots,
               stats.memory.all_slots, FormatByteSize(stats.memory.budget),
               FormatByteSize(std::max(peak_, stats.memory.peak_rss)));
    fmt::print("{:<12}{:>10}{:>10}{:>10}{:>8}{:>12}{:>10}{:>8}  {}\n", "test", "tokens/s", "min",
               "max", "hits", "read/token", "bound", "share", "bound by");
    for (const Row& row : rows) {
      const auto [low, high] = std::ranges::minmax(row.tokens_per_s);
      const Bound bound = BoundOf(row.work, row.rates);
      const double best = AtBound(row, bound);
      fmt::print(
          "{:<12}{:>10.2f}{:>10.2f}{:>10.2f}{:>7.1f}%{:>12}", row.name, Median(row.tokens_per_s),
          low, high, 100 * HitRate(row),
          FormatByteSize(static_cast<uint64_t>(ReadPerAccess(row) * AccessesPerToken(stats))));
      if (best > 0) {
        fmt::print("{:>10.2f}{:>7.1f}%  {}, {:.1f} and {:.1f} GB/s before and after", best,
                   100 * Median(row.tokens_per_s) / best, bound.limit,
                   row.rates.memory_before / 1e9, row.rates.memory_after / 1e9);
      }
      fmt::print("\n");
    }
  }

  static double HitRate(const Row& row) {
    return row.experts.accesses == 0
               ? 0
               : static_cast<double>(row.experts.hits) / static_cast<double>(row.experts.accesses);
  }
  static double ReadPerAccess(const Row& row) {
    return row.experts.accesses == 0 ? 0
                                     : static_cast<double>(row.experts.bytes_read) /
                                           static_cast<double>(row.experts.accesses);
  }
  static double AccessesPerToken(const EngineStats& stats) {
    return static_cast<double>(stats.accesses_per_token);
  }

  static Json BoundJson(const Row& row) {
    const Bound bound = BoundOf(row.work, row.rates);
    return {{"tokens_per_s", AtBound(row, bound)},
            {"limit", bound.limit},
            {"memory_s", bound.memory_s},
            {"compute_s", bound.compute_s},
            {"disk_s", bound.disk_s},
            {"measured_s", row.work.seconds},
            {"memory_bytes", row.work.memory_bytes},
            {"macs", row.work.macs},
            {"disk_bytes", row.work.disk_bytes},
            {"memory_bytes_per_s", {row.rates.memory_before, row.rates.memory_after}},
            {"macs_per_s", row.rates.macs},
            {"disk_bytes_per_s", row.rates.disk}};
  }

  void PrintJson(EngineStats stats, const std::vector<Row>& rows) const {
    stats.memory.peak_rss = std::max(peak_, stats.memory.peak_rss);
    Json json = Json::array();
    for (const Row& row : rows) {
      const auto [low, high] = std::ranges::minmax(row.tokens_per_s);
      json.push_back({{"name", row.name},
                      {"tokens_per_s", Median(row.tokens_per_s)},
                      {"min", low},
                      {"max", high},
                      {"samples", row.tokens_per_s},
                      {"hit_rate", HitRate(row)},
                      {"bytes_read_per_token", ReadPerAccess(row) * AccessesPerToken(stats)},
                      {"stall_s", row.experts.stall_s},
                      {"bound", no_bounds_ ? Json() : BoundJson(row)},
                      {"batch", batch_},
                      {"model", stats.model},
                      {"device", stats.device},
                      {"threads", stats.threads},
                      {"memory", MemoryJson(stats)}});
    }
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }

  EngineOptions options_;
  int64_t prompt_ = 512;
  int64_t generate_ = 64;
  int batch_ = 1;
  int repetitions_ = 3;
  int64_t depth_ = 0;
  std::string text_;
  std::string tokens_file_;
  bool json_ = false;
  bool no_bounds_ = false;
  ModelWork work_;
  std::optional<MachineProfile> profile_;
  uint64_t peak_ = 0;  // resident bytes, without those of the probes
  int64_t lead_ = 0;
  int64_t vocab_ = 1;
  std::vector<int32_t> tokens_;                  // of the text
  std::vector<std::vector<int32_t>> sequences_;  // of the token file
  size_t next_token_ = 0;
  std::mt19937 random_{1};
};

}  // namespace

std::unique_ptr<Command> AddBenchCommand(CLI::App* program) {
  return std::make_unique<BenchCommand>(program);
}

}  // namespace sluice
