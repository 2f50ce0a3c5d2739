// sluice: runs Mixture-of-Experts models that are larger than the machine's memory.
#include <cstdio>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

#include "cli/command.h"

namespace sluice {

#define SLUICE_COMMAND(factory) std::unique_ptr<Command> factory(CLI::App* program);
#include "cli/commands.inc"
#undef SLUICE_COMMAND

namespace {

// fmt reports failed writes by exceptions; a failed flush would go unseen.
int RunToTheEnd(Command* command) {
  int code = kExitFailed;
  try {
    code = command->Run();
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "sluice: writing the output failed: %s\n", error.what());
    return kExitFailed;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return code == kExitOk ? Report(IoError("writing the output failed")) : code;
  }
  return code;
}

int Main(int argc, char** argv) {
  CLI::App program(
      "sluice runs Mixture-of-Experts language models that are larger than memory:\n"
      "experts flow from disk through a RAM budget, and the output never changes.");
  program.set_version_flag("--version", "sluice " SLUICE_VERSION);
  program.footer(
      "Examples:\n"
      "  sluice run -p \"sort: 7 3 9 1 =\"                 the embedded model, no download\n"
      "  sluice run -m qwen3-30b-a3b-q4_k_m.gguf -p \"Once upon a time\" --ram-budget 8GiB\n"
      "  sluice inspect model.gguf                       what is inside, and what it needs\n\n"
      "Exit codes: 0 done, 1 failed while running, 2 bad flags, 3 does not fit the memory or the\n"
      "context, 4 model file missing, damaged or unknown, 130 interrupted.");
  program.require_subcommand(1);
  std::vector<std::unique_ptr<Command>> commands;
#define SLUICE_COMMAND(factory) commands.push_back(factory(&program));
#include "cli/commands.inc"
#undef SLUICE_COMMAND
  try {  // CLI11 reports by exceptions, and only while it parses
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const std::vector<CLI::App*> chosen = program.get_subcommands();
  const auto all = program.get_subcommands([](const CLI::App*) { return true; });
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] == chosen[0]) return RunToTheEnd(commands[i].get());
  }
  return kExitUsage;
}

}  // namespace
}  // namespace sluice

// Whatever else is thrown is a bug, and ends the program.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
  try {
    return sluice::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("sluice: the system gives no more memory\n", stderr);
    return sluice::kExitDoesNotFit;
  }
}
