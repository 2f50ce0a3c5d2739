// What the commands share: flags, exit codes, progress, Ctrl-C.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "sluice/engine.h"
#include "sluice/options.h"
#include "sluice/status.h"

namespace sluice {

// Exit codes, as `sluice --help` lists them.
enum ExitCode {
  kExitOk = 0,
  kExitFailed = 1,      // something went wrong while running
  kExitUsage = 2,       // flags or arguments make no sense
  kExitDoesNotFit = 3,  // memory budget or context too small
  kExitBadModel = 4,    // a model file is missing, damaged or of an unknown kind
  kExitInterrupted = 130
};

// A command adds itself to the program and answers with what runs when it was chosen.
class Command {
 public:
  virtual ~Command() = default;
  virtual int Run() = 0;
};

// Prints "sluice: message" to stderr; the exit code that fits.
int Report(const Status& status);

// -m, -c, -t, --ram-budget and the rest that opens an engine.
void AddEngineFlags(CLI::App* app, EngineOptions* options);
// -s, --temp, --top-k and the rest that chooses tokens.
void AddSamplingFlags(CLI::App* app, SamplingParams* params);

// Opens the engine with a progress bar on a terminal.
Result<std::unique_ptr<Engine>> OpenWithProgress(EngineOptions options);

// True if stderr is a terminal that wants progress.
bool ShowsProgress();
// Draws "label [=====>    ] 45 %" on stderr, over itself; ClearProgress() removes it.
void DrawProgress(const std::string& label, double fraction);
void ClearProgress();

// While it lives, Ctrl-C only sets interrupted() instead of ending the program, which a second one
// does.
class CatchInterrupt {
 public:
  CatchInterrupt();
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;
  static bool interrupted();
};

// The same, and Ctrl-C cancels the stream.
class CancelOnInterrupt : CatchInterrupt {
 public:
  explicit CancelOnInterrupt(TokenStream* stream);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;
};

// While a long prompt is read: a progress bar until it is destroyed. Nothing in a pipe.
class PrefillProgress {
 public:
  explicit PrefillProgress(const TokenStream& stream);
  ~PrefillProgress();
  PrefillProgress(const PrefillProgress&) = delete;
  PrefillProgress& operator=(const PrefillProgress&) = delete;

 private:
  class Ticker;
  std::unique_ptr<Ticker> ticker_;
};

}  // namespace sluice
