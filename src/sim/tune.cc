#include "sim/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "policy/compile.h"

namespace sluice {
namespace {

// Costs closer than this are a tie, which the plainer answer wins: one part in 200 is what a
// change of the trace's borders moves.
constexpr double kTie = 0.005;
// What the first tenth of the training part costs is not counted: the cache fills.
constexpr double kWarmUp = 0.1;

// Parameters by block, in the order in which they were chosen.
struct Setting {
  std::string block;  // "cache", "prefetch", ...
  std::string text;   // "eviction = lfu  frequency_decay = 0.97"
  std::string reason;
};

struct Answer {
  std::string name;
  std::vector<Setting> settings;
};

// The plainest answer comes first.
struct Question {
  std::string name;
  std::vector<Answer> answers;
};

Answer InCache(const std::string& text) {
  return {.name = text, .settings = {{"cache", text, ""}}};
}

std::vector<Question> Questions(const Trace& trace, const LinkModel& link) {
  std::vector<Question> questions;
  questions.push_back(
      {.name = "eviction",
       .answers = {InCache("eviction = lru"), InCache("eviction = lfu"), InCache("eviction = gap"),
                   InCache("eviction = s3fifo"), InCache("eviction = lfru"),
                   InCache("eviction = memory"), InCache("eviction = learned")}});
  questions.push_back({.name = "decay",
                       .answers = {{.name = "(default)", .settings = {}},
                                   InCache("frequency_decay = 0.9"),
                                   InCache("frequency_decay = 0.97"),
                                   InCache("frequency_decay = 0.99")}});
  Question prefetch{.name = "prefetch", .answers = {{.name = "none", .settings = {}}}};
  std::vector<std::string> strategies = {"affinity + history", "learned + similar"};
  if (!trace.gates.empty()) strategies.insert(strategies.begin(), "gate");
  for (const std::string& strategy : strategies) {
    for (const char* bounds :
         {"min_confidence = 0.9  budget = 2", "min_confidence = 0.7  budget = 2",
          "min_confidence = 0.5  budget = 2", "min_confidence = 0.5  budget = 4",
          "min_confidence = 0.3  budget = 4"}) {
      const std::string text = fmt::format("strategy = {}  {}  insert = staging", strategy, bounds);
      prefetch.answers.push_back(
          {.name = fmt::format("{}  {}", strategy, bounds), .settings = {{"prefetch", text, ""}}});
    }
  }
  questions.push_back(std::move(prefetch));
  questions.push_back(
      {.name = "capacity",
       .answers = {
           {.name = "even over layers", .settings = {}},
           {.name = "one pool", .settings = {{"cache", "scope = shared", ""}}},
           {.name = "by marginal gain", .settings = {{"per_layer", "allocation = marginal", ""}}},
           {.name = "by entropy", .settings = {{"per_layer", "allocation = entropy", ""}}}}});
  questions.push_back({.name = "admission",
                       .answers = {{.name = "always", .settings = {}},
                                   InCache("admission = second_touch"),
                                   InCache("admission = frequency")}});
  if (link.slow_is_ram) {
    questions.push_back(
        {.name = "placement",
         .answers = {{.name = "fetch", .settings = {}},
                     {.name = "in_place", .settings = {{"schedule", "mode = in_place", ""}}},
                     {.name = "cost", .settings = {{"schedule", "mode = cost", ""}}},
                     {.name = "greedy", .settings = {{"schedule", "mode = greedy", ""}}}}});
  }
  return questions;
}

std::string Render(const std::string& name, const std::vector<Setting>& settings) {
  std::string text = fmt::format("version 1.0\npolicy {} {{\n", name);
  for (const char* block : {"cache", "prefetch", "schedule", "per_layer"}) {
    std::string body;
    if (std::string_view(block) == "cache") body = "        capacity = auto\n";
    for (const Setting& setting : settings) {
      if (setting.block != block) continue;
      if (!setting.reason.empty()) body += fmt::format("        # {}\n", setting.reason);
      body += fmt::format("        {}\n", setting.text);
    }
    if (!body.empty()) text += fmt::format("    {} {{\n{}    }}\n", block, body);
  }
  return text + "}\n";
}

class Tuner {
 public:
  Tuner(const Trace& trace, const TuneOptions& options, const TuneProgress& progress)
      : trace_(trace),
        options_(options),
        progress_(progress),
        train_steps_(
            static_cast<uint64_t>(options.train_share * static_cast<double>(trace.steps.size()))) {}

  Result<Tuned> Run(const std::string& name) {
    if (train_steps_ < 10 || trace_.steps.size() - train_steps_ < 5) {
      return InvalidArgumentError(
          fmt::format("a trace of {} steps is too short to train and test on: record more tokens",
                      trace_.steps.size()));
    }
    const std::vector<Question> questions = Questions(trace_, options_.link);
    for (const Question& question : questions) expected_ += question.answers.size();
    std::vector<Setting> chosen;
    for (const Question& question : questions) {
      // A decay concerns only rules that count.
      if (question.name == "decay" && !Counts(chosen)) continue;
      SLUICE_TRY(Ask(question, &chosen));
    }
    tuned_.policy = Render(name, chosen);
    SLUICE_TRY_ASSIGN(tuned_.test, Test(tuned_.policy));
    SLUICE_TRY_ASSIGN(tuned_.test_lru, Test(Render("lru", {{"cache", "eviction = lru", ""}})));
    SLUICE_TRY_ASSIGN(tuned_.test_belady,
                      Test(Render("belady", {{"cache", "eviction = belady", ""}})));
    return std::move(tuned_);
  }

 private:
  static bool Counts(const std::vector<Setting>& chosen) {
    return std::ranges::any_of(chosen, [](const Setting& setting) {
      return setting.text == "eviction = lfu" || setting.text == "eviction = lfru";
    });
  }

  Result<ReplayResult> Play(const std::string& text, uint64_t first, uint64_t end) {
    SLUICE_TRY_ASSIGN(const PolicySpec spec,
                      CompilePolicy(text, "tried policy", {.use = PolicyUse::kReplay}));
    ReplayOptions replay{
        .link = options_.link,
        .slots = options_.slots,
        .ticks = {.bytes_per_call = options_.link.bytes_per_second * options_.link.compute_seconds},
        .first_step = first,
        .end_step = end};
    return Replay(trace_, spec, replay);
  }

  Judged Judge(const ReplayResult& result) const {
    const auto tokens = static_cast<double>(std::max<uint64_t>(1, result.tokens));
    Judged judged{.stall_seconds = result.stall_seconds / tokens,
                  .bytes_read = result.bytes_read / tokens,
                  .demand_misses = static_cast<double>(result.totals.demand_misses) / tokens,
                  .hit_rate = static_cast<double>(result.totals.hits) /
                              static_cast<double>(std::max<uint64_t>(1, result.totals.accesses))};
    judged.cost = options_.cost == Cost::kStall   ? judged.stall_seconds
                  : options_.cost == Cost::kBytes ? judged.bytes_read
                                                  : judged.demand_misses;
    return judged;
  }

  Result<Judged> Test(const std::string& text) {
    SLUICE_TRY_ASSIGN(const ReplayResult result, Play(text, train_steps_, trace_.steps.size()));
    tuned_.test_tokens = result.tokens;
    return Judge(result);
  }

  Status Ask(const Question& question, std::vector<Setting>* chosen) {
    std::optional<size_t> best;
    double plain_cost = 0;
    double best_cost = 0;
    const size_t first = tuned_.trials.size();
    for (size_t a = 0; a < question.answers.size(); ++a) {
      if (progress_ && !progress_(tuned_.trials.size(), expected_)) {
        return CancelledError("the search was stopped");
      }
      std::vector<Setting> settings = *chosen;
      const Answer& answer = question.answers[a];
      settings.insert(settings.end(), answer.settings.begin(), answer.settings.end());
      const auto warm_up = static_cast<uint64_t>(kWarmUp * static_cast<double>(train_steps_));
      SLUICE_TRY_ASSIGN(const ReplayResult result,
                        Play(Render("tried", settings), warm_up, train_steps_));
      tuned_.train_tokens = result.tokens;
      const Judged judged = Judge(result);
      tuned_.trials.push_back({.question = question.name,
                               .answer = answer.name,
                               .cost = judged.cost,
                               .hit_rate = judged.hit_rate});
      if (a == 0) plain_cost = judged.cost;
      if (!best || judged.cost < best_cost * (1 - kTie)) {
        best = a;
        best_cost = judged.cost;
      }
    }
    tuned_.trials[first + *best].kept = true;
    for (Setting setting : question.answers[*best].settings) {
      setting.reason =
          fmt::format("{}: {} instead of {} with \"{}\"", question.name, FormatCost(best_cost),
                      FormatCost(plain_cost), question.answers[0].name);
      chosen->push_back(std::move(setting));
    }
    return {};
  }

  std::string FormatCost(double cost) const {
    switch (options_.cost) {
      case Cost::kStall:
        return fmt::format("{:.3f} ms stall per token", cost * 1e3);
      case Cost::kBytes:
        return fmt::format("{:.2f} MB read per token", cost / 1e6);
      case Cost::kMisses:
        return fmt::format("{:.2f} misses per token", cost);
    }
    return {};
  }

  const Trace& trace_;
  const TuneOptions& options_;
  const TuneProgress& progress_;
  const uint64_t train_steps_;
  size_t expected_ = 0;
  Tuned tuned_;
};

}  // namespace

const char* CostUnit(Cost cost) {
  switch (cost) {
    case Cost::kStall:
      return "s/token";
    case Cost::kBytes:
      return "bytes/token";
    case Cost::kMisses:
      return "misses/token";
  }
  return "";
}

Result<Tuned> Tune(const Trace& trace, const TuneOptions& options, const std::string& name,
                   const TuneProgress& progress) {
  return Tuner(trace, options, progress).Run(name);
}

}  // namespace sluice
