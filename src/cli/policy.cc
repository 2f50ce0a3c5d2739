// sluice policy: check, format, explain and show policy files.
#include <fmt/format.h>

#include <cstdint>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/write_file.h"
#include "cli/command.h"
#include "cli/policy_actions.h"
#include "engine/policy_target.h"
#include "model/embedded_model.h"
#include "model/model.h"
#include "policy/explain.h"
#include "policy/format.h"
#include "policy/parser.h"
#include "policy/shipped.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// A file may hold any bytes; JSON may not.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

// What check, explain and show have in common.
struct PolicyFlags {
  std::vector<std::string> policies;  // names or files
  std::string model;
  bool replay = false;
  bool json = false;

  void Add(CLI::App* app) {
    app->add_option("policy", policies, "names of built-in policies, or files; - is stdin")
        ->required();
    app->add_option("-m,--model", model, "also check against this model (rill: the embedded one)");
    app->add_flag("--replay", replay, "the policy is for a replay: it may use belady");
  }

  Result<CompileOptions> Options() const {
    CompileOptions options;
    options.use = replay ? PolicyUse::kReplay : PolicyUse::kEngine;
    if (model.empty()) return options;
    SLUICE_TRY_ASSIGN(const Model opened, model == "rill" ? OpenEmbeddedModel() : OpenModel(model));
    if (!opened.spec.has_experts()) return options;  // nothing to check against
    options.shape = TargetOf(opened);
    return options;
  }
};

Result<PolicySource> ReadSource(const std::string& name) {
  if (name != "-") return FindPolicySource(name);
  // One byte more than is allowed is enough to say that it is too much.
  std::string text(kMostPolicyBytes + 1, '\0');
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::cin.gcount()));
  return PolicySource{.file_name = "stdin", .text = std::move(text), .policy = {}};
}

Json DiagnosticJson(const Diagnostics& diagnostics, const Diagnostic& diagnostic) {
  return {{"file", diagnostics.file_name()},
          {"line", diagnostic.place.line},
          {"column", diagnostic.place.column},
          {"length", diagnostic.place.length},
          {"severity", diagnostic.severity == Severity::kError ? "error" : "warning"},
          {"code", diagnostic.code},
          {"message", diagnostic.message},
          {"remedy", diagnostic.remedy}};
}

class CheckAction final : public PolicyAction {
 public:
  explicit CheckAction(CLI::App* app) {
    flags_.Add(app);
    app->add_flag("--json", flags_.json, "print all findings as a JSON array");
    app->footer("Example: sluice policy check my.moe --model qwen3-30b-a3b-q4_k_m.gguf");
  }

  int Run() override {
    const Result<CompileOptions> options = flags_.Options();
    if (!options.ok()) return Report(options.status());
    Json all = Json::array();
    bool good = true;
    for (const std::string& name : flags_.policies) {
      const Result<PolicySource> source = ReadSource(name);
      if (!source.ok()) return Report(source.status());
      const CompiledFile file = CompileFile(source->text, source->file_name, *options);
      good = good && file.diagnostics.ok();
      for (const Diagnostic& diagnostic : file.diagnostics.found()) {
        all.push_back(DiagnosticJson(file.diagnostics, diagnostic));
      }
      if (!flags_.json) Print(file);
    }
    if (flags_.json) fmt::print("{}\n", Dump(all));
    return good ? kExitOk : kExitFailed;
  }

 private:
  static void Print(const CompiledFile& file) {
    const Diagnostics& diagnostics = file.diagnostics;
    fmt::print("{}", diagnostics.RenderAll());
    const size_t errors = diagnostics.errors();
    const size_t warnings = diagnostics.found().size() - errors;
    fmt::print("{}: {} {}, {} {}, {} {}\n", diagnostics.file_name(), file.policies.size(),
               file.policies.size() == 1 ? "policy" : "policies", errors,
               errors == 1 ? "error" : "errors", warnings, warnings == 1 ? "warning" : "warnings");
  }

  PolicyFlags flags_;
};

class FormatAction final : public PolicyAction {
 public:
  explicit FormatAction(CLI::App* app) {
    app->add_option("policy", policies_, "names of built-in policies, or files; - is stdin")
        ->required();
    app->add_flag("-i,--in-place", in_place_, "write the files instead of printing them");
    app->add_flag("--check", check_, "print nothing; exit 1 if a file is not in canonical form");
    app->footer("Example: sluice policy fmt -i my.moe");
  }

  int Run() override {
    bool canonical = true;
    for (const std::string& name : policies_) {
      const Result<PolicySource> source = ReadSource(name);
      if (!source.ok()) return Report(source.status());
      const Result<std::string> text = FormatPolicyText(source->text, source->file_name);
      if (!text.ok()) {
        fmt::print(stderr, "sluice: {}\n", text.status().message());
        return kExitFailed;
      }
      if (check_) {
        if (*text == source->text) continue;
        canonical = false;
        fmt::print(stderr, "sluice: {} is not in canonical form\n", source->file_name);
      } else if (!in_place_) {
        fmt::print("{}", *text);
      } else if (*text != source->text) {
        if (source->builtin || name == "-") {
          return Report(InvalidArgumentError("-i writes files; " + name + " is none"));
        }
        const Status written = WriteWholeFile(source->file_name, *text);
        if (!written.ok()) return Report(written);
      }
    }
    return canonical ? kExitOk : kExitFailed;
  }

 private:
  std::vector<std::string> policies_;
  bool in_place_ = false;
  bool check_ = false;
};

Json ShownJson(const CompiledPolicy& policy) {
  Json parameters = Json::array();
  for (const ShownParameter& row : ShowParameters(policy)) {
    const char* from = row.from == ShownParameter::From::kDefault   ? "default"
                       : row.from == ShownParameter::From::kWritten ? "written"
                                                                    : "inherited";
    Json entry = {{"parameter", row.key}, {"value", row.value}, {"from", from}};
    if (row.line > 0) entry["line"] = row.line;
    if (row.from == ShownParameter::From::kInherited) entry["policy"] = row.policy;
    parameters.push_back(std::move(entry));
  }
  return {{"policy", policy.spec.name},
          {"parameters", std::move(parameters)},
          {"source", PrintPolicy(policy.spec)}};
}

// explain and show: something about each policy of each file.
class DescribeAction final : public PolicyAction {
 public:
  enum class What { kExplain, kShow };

  DescribeAction(CLI::App* app, What what) : what_(what) {
    flags_.Add(app);
    if (what == What::kShow) {
      app->add_flag("--json", flags_.json, "print JSON");
      app->footer("Example: sluice policy show default");
      return;
    }
    app->add_option("--ram-budget", budget_, "memory that experts may have, for the numbers: 6GiB");
    app->add_option("--read-speed", speed_, "bytes per second of the disk, for the numbers: 1.2GB");
    app->footer("Example: sluice policy explain default --model rill --ram-budget 64MiB");
  }

  int Run() override {
    const Result<CompileOptions> options = flags_.Options();
    if (!options.ok()) return Report(options.status());
    if (const Status status = Machine(); !status.ok()) return Report(status);
    Json all = Json::array();
    std::string text;
    for (const std::string& name : flags_.policies) {
      const Result<PolicySource> source = ReadSource(name);
      if (!source.ok()) return Report(source.status());
      const CompiledFile file = CompileFile(source->text, source->file_name, *options);
      if (!file.diagnostics.ok()) {
        fmt::print(stderr, "{}", file.diagnostics.RenderAll());
        return kExitFailed;
      }
      for (const CompiledPolicy& policy : file.policies) {
        if (!source->policy.empty() && policy.spec.name != source->policy) continue;
        all.push_back(flags_.json ? ShownJson(policy) : Json());
        if (!text.empty()) text += "\n";
        text +=
            what_ == What::kShow ? ShowPolicy(policy) : ExplainPolicy(policy, *options, machine_);
      }
    }
    fmt::print("{}", flags_.json ? Dump(all) + "\n" : text);
    return kExitOk;
  }

 private:
  Status Machine() {
    if (!budget_.empty()) {
      SLUICE_TRY_ASSIGN(machine_.expert_budget_bytes, ParseByteSize(budget_));
    }
    if (!speed_.empty()) {
      SLUICE_TRY_ASSIGN(const uint64_t bytes, ParseByteSize(speed_));
      machine_.read_bytes_per_second = static_cast<double>(bytes);
    }
    return {};
  }

  What what_;
  PolicyFlags flags_;
  std::string budget_;
  std::string speed_;
  MachineFacts machine_;
};

// What fits on a line beside a name.
std::string Shortened(const std::string& text) {
  constexpr size_t kWidth = 92;
  if (text.size() <= kWidth) return text;
  return text.substr(0, text.rfind(' ', kWidth - 4)) + " ...";
}

class ListAction final : public PolicyAction {
 public:
  explicit ListAction(CLI::App* app) {
    app->add_flag("--json", json_, "print JSON");
    app->footer("Example: sluice policy list");
  }

  int Run() override {
    Json all = Json::array();
    for (const ShippedPolicy& shipped : ShippedPolicies()) {
      const std::string about = PolicySummary(shipped.source);
      all.push_back({{"name", shipped.name}, {"about", about}, {"source", shipped.source}});
      if (!json_) fmt::print("{:<26}{}\n", shipped.name, Shortened(about));
    }
    if (json_) fmt::print("{}\n", Dump(all));
    return kExitOk;
  }

 private:
  bool json_ = false;
};

class PolicyCommand final : public Command {
 public:
  explicit PolicyCommand(CLI::App* program) {
    CLI::App* app =
        program->add_subcommand("policy", "check, format, explain, show, tune and make policies");
    app->require_subcommand(1);
    app->footer("Example: sluice policy check my.moe");
    CLI::App* check = app->add_subcommand("check", "find everything that is wrong with a policy");
    CLI::App* format = app->add_subcommand("fmt", "print the canonical form");
    CLI::App* explain = app->add_subcommand("explain", "say in plain words what will happen");
    CLI::App* show = app->add_subcommand("show", "print every parameter and where it comes from");
    CLI::App* list = app->add_subcommand("list", "name the policies that are built in");
    actions_.emplace_back(check, std::make_unique<CheckAction>(check));
    actions_.emplace_back(format, std::make_unique<FormatAction>(format));
    actions_.emplace_back(
        explain, std::make_unique<DescribeAction>(explain, DescribeAction::What::kExplain));
    actions_.emplace_back(show,
                          std::make_unique<DescribeAction>(show, DescribeAction::What::kShow));
    actions_.emplace_back(list, std::make_unique<ListAction>(list));
    CLI::App* tune = app->add_subcommand("tune", "search the best policy for a trace");
    actions_.emplace_back(tune, NewTuneAction(tune));
    CLI::App* make = app->add_subcommand("auto", "make a policy for a model and this machine");
    actions_.emplace_back(make, NewAutoAction(make));
  }

  int Run() override {
    for (const auto& [app, action] : actions_) {
      if (app->parsed()) return action->Run();
    }
    return kExitUsage;
  }

 private:
  std::vector<std::pair<CLI::App*, std::unique_ptr<PolicyAction>>> actions_;
};

}  // namespace

std::unique_ptr<Command> AddPolicyCommand(CLI::App* program) {
  return std::make_unique<PolicyCommand>(program);
}

}  // namespace sluice
