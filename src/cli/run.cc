// sluice run: answers prompts. The text goes to stdout as it comes, everything else to stderr.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "base/write_file.h"
#include "cli/command.h"
#include "cli/stats_json.h"

namespace sluice {
namespace {

class RunCommand final : public Command {
 public:
  explicit RunCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("run", "answer a prompt");
    app->add_option("-p,--prompt", prompts_, "the prompt; several are answered together")
        ->allow_extra_args(false);
    app->add_option("-f,--file", prompt_file_, "file that holds the prompt (-: standard input)");
    app->add_option("-n,--predict,--n-predict", max_tokens_,
                    "tokens to generate (-1: to the end of the text or of the context)")
        ->capture_default_str();
    app->add_flag("--chat", chat_, "the prompt is a question: the model's chat template spells it");
    app->add_option("--system", system_, "with --chat: the instruction that comes before");
    AddEngineFlags(app, &options_);
    AddSamplingFlags(app, &request_.sampling);
    app->add_option("--stop", request_.stop, "text that ends the answer; may be repeated")
        ->allow_extra_args(false);
    app->add_flag("--ignore-eos", request_.ignore_eos, "go on after the end of the text");
    app->add_option("--stats", stats_path_, "write statistics as JSON to this file");
    app->add_option(
        "--logits", logits_path_,
        "write the logits after every token to this file: float32 [tokens, vocabulary]");
    app->footer("Example: sluice run -m model.gguf -p \"The sea is\" -n 64 --ram-budget 8GiB");
  }

  int Run() override {
    const Status status = Answer();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  struct Answered {
    TokenStream stream;
    AnsweredRequest record;
  };

  Status ReadPrompts() {
    if (!prompt_file_.empty()) {
      std::ifstream file;
      if (prompt_file_ != "-") file.open(prompt_file_, std::ios::binary);
      std::istream& in = prompt_file_ == "-" ? std::cin : file;
      std::string text(std::istreambuf_iterator<char>(in), {});
      if (prompt_file_ != "-" && !file.is_open()) {
        return InvalidArgumentError(prompt_file_ + ": cannot read the prompt from this file");
      }
      prompts_.push_back(std::move(text));
    }
    if (prompts_.empty()) {
      return InvalidArgumentError("no prompt: give one with -p \"...\" or -f FILE");
    }
    return {};
  }

  Status Answer() {
    SLUICE_TRY(ReadPrompts());
    if (!system_.empty() && !chat_) return InvalidArgumentError("--system needs --chat");
    options_.trace_seed = request_.sampling.seed;
    options_.parallel = static_cast<int>(prompts_.size());
    if (!logits_path_.empty()) {
      SLUICE_TRY_ASSIGN(WholeFile file, WholeFile::Create(logits_path_));
      logits_.emplace(std::move(file));
      request_.logits = LogitsWanted::kAll;
    }
    if (chat_) options_.chat_template = ChatTemplateUse::kNeeded;
    SLUICE_TRY_ASSIGN(auto engine, OpenWithProgress(options_));
    request_.max_tokens = max_tokens_;
    std::vector<Answered> answers;
    for (const std::string& prompt : prompts_) {
      Request request = request_;
      SLUICE_TRY(SetPrompt(*engine, prompt, &request));
      SLUICE_TRY_ASSIGN(TokenStream stream, engine->Submit(std::move(request)));
      answers.push_back({.stream = std::move(stream), .record = {}});
    }
    Status status;
    for (size_t i = 0; i < answers.size() && status.ok(); ++i) {
      if (answers.size() > 1) fmt::print("{}--- {}\n", i == 0 ? "" : "\n", prompts_[i]);
      status = Print(&answers[i]);
    }
    if (logits_ && status.ok()) status = logits_->Finish();
    const Status written = WriteStats(*engine, answers);
    return status.ok() ? written : status;
  }

  Status SetPrompt(const Engine& engine, const std::string& prompt, Request* request) const {
    if (!chat_) {
      request->prompt = prompt;
      return {};
    }
    std::vector<ChatMessage> messages;
    if (!system_.empty()) messages.push_back({.role = "system", .content = system_});
    messages.push_back({.role = "user", .content = prompt});
    SLUICE_TRY_ASSIGN(request->prompt_ids, engine.EncodeChat(messages));
    return {};
  }

  Status Print(Answered* answer) {
    const CancelOnInterrupt guard(&answer->stream);
    auto prefill = std::make_unique<PrefillProgress>(answer->stream);
    Status status;
    while (true) {
      Result<std::optional<Event>> event = answer->stream.Next();
      prefill.reset();
      if (!event.ok()) {
        status = event.status();
        break;
      }
      if (!event->has_value()) break;
      SLUICE_TRY(OnEvent(**event, &answer->record));
    }
    fmt::print("\n");
    answer->record.prompt_ids = answer->stream.prompt_ids();
    answer->record.stats = answer->stream.stats();
    return status;
  }

  Status OnEvent(const Event& event, AnsweredRequest* record) {
    if (logits_) {
      SLUICE_TRY(logits_->Write({reinterpret_cast<const char*>(event.logits.data()),
                                 event.logits.size() * sizeof(float)}));
    }
    if (!event.of_prompt && event.token >= 0) record->generated_ids.push_back(event.token);
    if (event.finish != FinishReason::kNone) record->finish = event.finish;
    if (std::fwrite(event.text.data(), 1, event.text.size(), stdout) != event.text.size() ||
        std::fflush(stdout) != 0) {
      return IoError("writing the answer failed");
    }
    return {};
  }

  Status WriteStats(const Engine& engine, const std::vector<Answered>& answers) {
    const EngineStats stats = engine.stats();
    if (!stats.trace_error.empty()) fmt::print(stderr, "sluice: {}\n", stats.trace_error);
    if (stats_path_.empty()) return {};
    std::vector<AnsweredRequest> records;
    records.reserve(answers.size());
    for (const Answered& answer : answers) records.push_back(answer.record);
    return WriteWholeFile(
        stats_path_,
        StatsJson(stats, records).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
            "\n");
  }

  EngineOptions options_;
  Request request_;
  std::vector<std::string> prompts_;
  std::string prompt_file_;
  std::string system_;
  bool chat_ = false;
  std::string stats_path_;
  std::string logits_path_;
  std::optional<WholeFile> logits_;
  int64_t max_tokens_ = -1;
};

}  // namespace

std::unique_ptr<Command> AddRunCommand(CLI::App* program) {
  return std::make_unique<RunCommand>(program);
}

}  // namespace sluice
