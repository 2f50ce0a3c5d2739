#include "cli/command.h"

#include <fmt/format.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice {
namespace {

// The stream that Ctrl-C cancels. A signal handler can reach nothing but globals.
std::atomic<TokenStream*> g_stream{nullptr};  // NOLINT
std::atomic<bool> g_interrupted{false};       // NOLINT

void OnInterrupt(int /*signal*/) {
  if (g_interrupted.exchange(true)) {  // the second time it ends the program at once
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
    return;
  }
  if (TokenStream* stream = g_stream.load()) stream->Cancel();
}

}  // namespace

int Report(const Status& status) {
  fmt::print(stderr, "sluice: {}\n", status.message());
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kInvalidArgument:
      return kExitUsage;
    case StatusCode::kResourceExhausted:
      return kExitDoesNotFit;
    case StatusCode::kNotFound:
    case StatusCode::kCorrupt:
    case StatusCode::kUnsupported:
      return kExitBadModel;
    case StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

void AddEngineFlags(CLI::App* app, EngineOptions* options) {
  app->add_option("-m,--model", options->model,
                  "GGUF file or Hugging Face directory (default: rill, the embedded model)");
  app->add_option("--ram-budget", options->ram_budget,
                  "memory of the whole process: 6GiB, 50% of the machine, or auto (what is free)")
      ->capture_default_str();
  app->add_option("-c,--ctx-size", options->context_tokens,
                  "tokens of a sequence, prompt and answer (0: the model's, at most 4096)");
  app->add_option("-t,--threads", options->threads, "threads that compute (0: one per core)");
  app->add_option("-b,--batch-size,--prefill-chunk", options->prefill_chunk,
                  "prompt tokens of one step, at most")
      ->capture_default_str();
  app->add_option("--kv-cache", options->kv_cache, "keys and values as f32, f16, bf16 or q8_0")
      ->capture_default_str();
  app->add_option(
         "--policy", options->policy,
         "which experts stay, come early and leave: a shipped policy (`sluice policy list`) "
         "or a .moe file")
      ->capture_default_str();
  app->add_option("--profile", options->policy_profile,
                  "popularity of the experts, for policies that start from one");
  app->add_option("--table", options->policy_table,
                  "what follows what, for policies that predict by it");
  app->add_option("--trace", options->trace_path, "write the routing as JSON lines to this file");
  app->add_option("--device", options->device, "auto, amx, avx512, avx2, reference or exact")
      ->capture_default_str();
}

void AddSamplingFlags(CLI::App* app, SamplingParams* params) {
  app->add_option("--temp", params->temperature, "temperature; 0 takes the likeliest token")
      ->capture_default_str();
  app->add_option("--top-k", params->top_k, "keep the k likeliest tokens (0: all)")
      ->capture_default_str();
  app->add_option("--top-p", params->top_p, "keep the likeliest tokens up to this probability")
      ->capture_default_str();
  app->add_option("--min-p", params->min_p, "drop tokens less likely than this times the likeliest")
      ->capture_default_str();
  app->add_option("--repeat-penalty", params->repetition_penalty,
                  "weaken tokens seen before (1: off)")
      ->capture_default_str();
  app->add_option("--presence-penalty", params->presence_penalty,
                  "subtracted from tokens seen before");
  app->add_option("--frequency-penalty", params->frequency_penalty,
                  "the same, times how often they were seen");
  app->add_option("--repeat-last-n", params->penalty_last_n, "tokens that count as seen (-1: all)")
      ->capture_default_str();
  app->add_option("-s,--seed", params->seed, "same seed, same text")->capture_default_str();
}

bool ShowsProgress() { return isatty(STDERR_FILENO) == 1; }

void DrawProgress(const std::string& label, double fraction) {
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  fmt::print(stderr, "\r{} [{:=<{}}{:<{}}] {:3.0f} %", label, "", filled, "", kWidth - filled,
             fraction * 100);
  std::fflush(stderr);
}

void ClearProgress() {
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

Result<std::unique_ptr<Engine>> OpenWithProgress(EngineOptions options) {
  const bool show = ShowsProgress();
  auto last = std::chrono::steady_clock::time_point();
  if (show) {
    options.on_load = [&](const LoadProgress& progress) {
      const auto now = std::chrono::steady_clock::now();
      if (now - last < std::chrono::milliseconds(100)) return;
      last = now;
      DrawProgress("loading", static_cast<double>(progress.bytes_done) /
                                  static_cast<double>(std::max<uint64_t>(progress.bytes_total, 1)));
    };
  }
  auto engine = Engine::Open(options);
  if (show) ClearProgress();
  if (engine.ok()) {
    for (const std::string& note : (*engine)->stats().policy_notes) {
      fmt::print(stderr, "sluice: policy: {}\n", note);
    }
  }
  return engine;
}

CatchInterrupt::CatchInterrupt() {
  g_interrupted.store(false);
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = SA_RESTART;  // a write to a slow pipe goes on
  sigaction(SIGINT, &action, nullptr);
}

CatchInterrupt::~CatchInterrupt() { signal(SIGINT, SIG_DFL); }

bool CatchInterrupt::interrupted() { return g_interrupted.load(); }

CancelOnInterrupt::CancelOnInterrupt(TokenStream* stream) {
  g_stream.store(stream);
  if (interrupted()) stream->Cancel();  // before there was a stream to tell
}

CancelOnInterrupt::~CancelOnInterrupt() { g_stream.store(nullptr); }

class PrefillProgress::Ticker {
 public:
  explicit Ticker(const TokenStream& stream)
      : thread_([this, &stream](const std::stop_token& stop) { Draw(stream, stop); }) {}

 private:
  void Draw(const TokenStream& stream, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    bool drawn = false;
    // The first pause is longer: a short prompt shows nothing.
    while (!wake_.wait_for(lock, stop, std::chrono::milliseconds(drawn ? 100 : 500),
                           [&] { return stop.stop_requested(); })) {
      if (stop.stop_requested()) break;
      const RequestStats stats = stream.stats();
      DrawProgress("reading the prompt", static_cast<double>(stats.prefilled_tokens) /
                                             static_cast<double>(stats.prompt_tokens));
      drawn = true;
    }
    if (drawn) ClearProgress();
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

PrefillProgress::PrefillProgress(const TokenStream& stream) {
  if (ShowsProgress()) ticker_ = std::make_unique<Ticker>(stream);
}
PrefillProgress::~PrefillProgress() = default;

}  // namespace sluice
