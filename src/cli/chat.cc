// sluice chat: a conversation on the terminal.
#include <editline/readline.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace sluice {
namespace {

// One line from the person: edited on a terminal, plain from a pipe. nullopt at the end.
std::optional<std::string> ReadLine() {
  if (isatty(STDIN_FILENO) == 0) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  char* raw = readline("> ");
  if (raw == nullptr) return std::nullopt;
  std::string line = raw;
  std::free(raw);  // NOLINT(cppcoreguidelines-no-malloc): readline's contract
  if (!line.empty()) add_history(line.c_str());
  return line;
}

class ChatCommand final : public Command {
 public:
  explicit ChatCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("chat", "talk with a model");
    AddEngineFlags(app, &options_);
    AddSamplingFlags(app, &request_.sampling);
    app->add_option("-n,--predict,--n-predict", request_.max_tokens,
                    "tokens of an answer, at most; -1: until the model ends it or the context "
                    "is full")
        ->capture_default_str();
    app->add_option("--system", system_,
                    "instruction that comes before the conversation; needs a model with a chat "
                    "template");
    app->footer(
        "Ctrl-C stops an answer, Ctrl-D ends the conversation; /clear forgets it.\n"
        "Example: sluice chat -m model.gguf --ram-budget 50% --temp 0.7");
  }

  int Run() override {
    options_.chat_template = system_.empty() ? ChatTemplateUse::kIfAny : ChatTemplateUse::kNeeded;
    Result<std::unique_ptr<Engine>> engine = OpenWithProgress(options_);
    if (!engine.ok()) return Report(engine.status());
    Clear();
    const bool terminal = isatty(STDIN_FILENO) == 1;
    if (terminal && !Remembers(**engine)) {
      fmt::print(stderr,
                 "This model has no chat template: it sees each line alone, without the lines "
                 "before.\n");
    }
    if (terminal) {
      fmt::print(stderr, "{}; Ctrl-C stops an answer, Ctrl-D ends.\n", (*engine)->stats().model);
    }
    while (std::optional<std::string> line = ReadLine()) {
      if (*line == "/clear") {
        Clear();
        continue;
      }
      if (line->empty()) continue;
      messages_.push_back({.role = "user", .content = *line});
      Status status = Turn(engine->get());
      if (status.ok()) continue;
      const bool stopped = status.code() == StatusCode::kCancelled;
      if (terminal && stopped) continue;  // the answer only
      const bool answered =
          std::ranges::any_of(messages_, [](const auto& m) { return m.role == "assistant"; });
      if (status.code() == StatusCode::kResourceExhausted && Remembers(**engine) && answered) {
        status = status.Annotate("the conversation has grown (/clear forgets it)");
      }
      const int code = Report(status);
      if (!terminal) return code;
      if (messages_.back().role == "user") messages_.pop_back();
    }
    if (terminal) fmt::print("\n");
    return kExitOk;
  }

 private:
  // Without a template each line is a prompt of its own.
  static bool Remembers(const Engine& engine) { return !engine.stats().chat_template.empty(); }

  void Clear() {
    messages_.clear();
    if (!system_.empty()) messages_.push_back({.role = "system", .content = system_});
  }

  // Prints the answer to the last message and keeps it, also when it was cut short.
  Status Turn(Engine* engine) {
    Request request = request_;
    SLUICE_TRY_ASSIGN(request.prompt_ids, engine->EncodeChat(messages_));
    SLUICE_TRY_ASSIGN(TokenStream stream, engine->Submit(std::move(request)));
    const CancelOnInterrupt guard(&stream);
    auto prefill = std::make_unique<PrefillProgress>(stream);
    std::string answer;
    Status status;
    while (true) {
      Result<std::optional<Event>> event = stream.Next();
      prefill.reset();
      if (!event.ok()) status = event.status();
      if (!event.ok() || !event->has_value()) break;
      answer += (*event)->text;
      fmt::print("{}", (*event)->text);
      std::fflush(stdout);
    }
    fmt::print("\n");
    if (status.ok() || status.code() == StatusCode::kCancelled) {
      messages_.push_back({.role = "assistant", .content = answer});
    }
    return status;
  }

  EngineOptions options_;
  Request request_;
  std::string system_;
  std::vector<ChatMessage> messages_;
};

}  // namespace

std::unique_ptr<Command> AddChatCommand(CLI::App* program) {
  return std::make_unique<ChatCommand>(program);
}

}  // namespace sluice
