// sluice lsp: the language server that editors start.
#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/json_rpc.h"
#include "cli/language_server.h"

namespace sluice {
namespace {

class LspCommand final : public Command {
 public:
  explicit LspCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("lsp", "language server for .moe files, for editors");
    app->add_flag("--replay", replay_, "the policies are for replays: they may use belady");
    app->add_flag("--stdio", stdio_, "accepted because editors say so: there is nothing else");
    app->footer("Example: sluice lsp      speaks the Language Server Protocol on stdin and stdout");
  }

  int Run() override {
    CompileOptions options;
    options.use = replay_ ? PolicyUse::kReplay : PolicyUse::kEngine;
    bool sent = true;
    LanguageServer server(options, [&sent](const std::string& body) {
      const std::string message = FramedMessage(body);
      sent = std::fwrite(message.data(), 1, message.size(), stdout) == message.size() &&
             std::fflush(stdout) == 0 && sent;
    });
    while (!server.exited() && sent) {
      const Result<std::optional<std::string>> message = ReadMessage(&std::cin);
      if (!message.ok()) {
        // Where the next message begins nobody knows.
        server.ReportUnreadable(message.status().message());
        Report(message.status());
        return kExitFailed;
      }
      if (!*message) break;
      server.Handle(**message);
    }
    return server.exited() && server.shut_down() ? kExitOk : kExitFailed;
  }

 private:
  bool replay_ = false;
  bool stdio_ = false;
};

}  // namespace

std::unique_ptr<Command> AddLspCommand(CLI::App* program) {
  return std::make_unique<LspCommand>(program);
}

}  // namespace sluice
