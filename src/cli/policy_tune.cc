// sluice policy tune: the best policy for a trace under a memory budget.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/byte_size.h"
#include "cli/command.h"
#include "cli/policy_actions.h"
#include "cli/replay_flags.h"
#include "routing/trace_reader.h"
#include "sim/tune.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

class TuneAction final : public PolicyAction {
 public:
  explicit TuneAction(CLI::App* app) {
    app->add_option("trace", path_, "recorded routing of the work to tune for")->required();
    app->add_option("--budget", budget_, "memory for experts, e.g. 6GiB")->required();
    app->add_option("--cost", cost_, "what to make small: stall, bytes or misses, per token")
        ->check(CLI::IsMember({"stall", "bytes", "misses"}))
        ->capture_default_str();
    app->add_option("--train", train_, "share of the trace that the search sees")
        ->check(CLI::Range(0.1, 0.9))
        ->capture_default_str();
    app->add_option("--name", name_, "of the policy that is written")->capture_default_str();
    AddLinkFlags(app, &link_);
    app->add_flag("--json", json_, "print JSON: the policy, what was tried, what it is worth");
    app->footer(
        "The policy goes to stdout, the table of what was tried to stderr.\n"
        "Example: sluice policy tune t.jsonl --budget 6GiB > my.moe");
  }

  int Run() override {
    const Status status = Search();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Search() {
    SLUICE_TRY_ASSIGN(const Trace trace, ReadTrace(path_));
    TuneOptions options{.train_share = train_};
    options.cost = cost_ == "stall"   ? Cost::kStall
                   : cost_ == "bytes" ? Cost::kBytes
                                      : Cost::kMisses;
    SLUICE_TRY_ASSIGN(options.link, ResolveLink(link_, trace.meta));
    SLUICE_TRY_ASSIGN(const uint64_t bytes, ParseByteSize(budget_));
    options.slots = static_cast<int64_t>(static_cast<double>(bytes) / options.link.expert_bytes);
    if (options.slots < 1) {
      return InvalidArgumentError(
          fmt::format("--budget {} does not hold one expert of {}", budget_,
                      FormatByteSize(static_cast<uint64_t>(options.link.expert_bytes))));
    }
    const auto progress = [](size_t done, size_t expected) {
      if (ShowsProgress()) {
        DrawProgress("tuning", static_cast<double>(done) / static_cast<double>(expected));
      }
      return true;
    };
    Result<Tuned> result = Tune(trace, options, name_, progress);
    if (ShowsProgress()) ClearProgress();
    if (!result.ok()) return result.status().Annotate(path_);
    json_ ? PrintJson(*result) : Print(*result, options);
    return {};
  }

  static void Print(const Tuned& tuned, const TuneOptions& options) {
    fmt::print(stderr, "{:<12}{:<70}{:>16}{:>9}\n", "question", "answer", CostUnit(options.cost),
               "hits");
    for (const Trial& trial : tuned.trials) {
      fmt::print(stderr, "{:<12}{:<70}{:>16.6g}{:>8.2f}%{}\n", trial.question, trial.answer,
                 trial.cost, 100 * trial.hit_rate, trial.kept ? "  <" : "");
    }
    fmt::print(stderr,
               "\non the part of the trace that the search did not see ({} tokens; it saw {}):\n",
               tuned.test_tokens, tuned.train_tokens);
    const auto line = [](const char* name, const Judged& judged) {
      fmt::print(stderr, "{:<12}{:>10.3f} ms stall{:>12} read{:>10.2f} misses per token{:>9.2f}%\n",
                 name, judged.stall_seconds * 1e3,
                 FormatByteSize(static_cast<uint64_t>(judged.bytes_read)), judged.demand_misses,
                 100 * judged.hit_rate);
    };
    line("tuned", tuned.test);
    line("lru", tuned.test_lru);
    line("belady", tuned.test_belady);
    fmt::print("{}", tuned.policy);
  }

  static Json JudgedJson(const Judged& judged) {
    return {{"cost", judged.cost},
            {"stall_s", judged.stall_seconds},
            {"bytes_read", judged.bytes_read},
            {"demand_misses", judged.demand_misses},
            {"hit_rate", judged.hit_rate}};
  }

  void PrintJson(const Tuned& tuned) const {
    Json trials = Json::array();
    for (const Trial& trial : tuned.trials) {
      trials.push_back({{"question", trial.question},
                        {"answer", trial.answer},
                        {"cost", trial.cost},
                        {"hit_rate", trial.hit_rate},
                        {"kept", trial.kept}});
    }
    const Json json = {{"policy", tuned.policy},
                       {"cost", cost_},
                       {"trials", trials},
                       {"train_tokens", tuned.train_tokens},
                       {"test_tokens", tuned.test_tokens},
                       {"test", JudgedJson(tuned.test)},
                       {"test_lru", JudgedJson(tuned.test_lru)},
                       {"test_belady", JudgedJson(tuned.test_belady)}};
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }

  std::string path_;
  std::string budget_;
  std::string cost_ = "stall";
  std::string name_ = "tuned";
  double train_ = 0.6;
  LinkFlags link_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<PolicyAction> NewTuneAction(CLI::App* app) {
  return std::make_unique<TuneAction>(app);
}

}  // namespace sluice
