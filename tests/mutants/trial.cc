#include "mutants/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/memory.h"
#include "sluice/engine.h"

namespace sluice {
namespace {

// The models are smaller than 8 MiB: whatever their headers say, no more than this is theirs. Most
// of it is what a sanitizer adds.
constexpr uint64_t kMaxBytes = uint64_t{256} << 20;

Verdict VerdictOf(const Status& status) {
  if (status.ok()) return Verdict::kAnswered;
  return status.message().find("not finite") == std::string::npos ? Verdict::kRequestFailed
                                                                  : Verdict::kNotFinite;
}

Status Answer(Engine* engine, Request request, std::string* finding) {
  SLUICE_TRY_ASSIGN(TokenStream stream, engine->Submit(std::move(request)));
  while (true) {
    SLUICE_TRY_ASSIGN(const std::optional<Event> event, stream.Next());
    if (!event) return {};
    const bool finite =
        std::ranges::all_of(event->logits, [](float x) { return std::isfinite(x); });
    if (!finite) *finding = "logits that are not finite, and nobody says so";
  }
}

Status Ask(Engine* engine, std::string* finding) {
  const Status first = Answer(engine,
                              {.prompt_ids = {1, 2, 3, 250, 4},
                               .max_tokens = 4,
                               .ignore_eos = true,
                               .logits = LogitsWanted::kAll},
                              finding);
  const ChatMessage message{.role = "user", .content = "caf\xC3\xA9 <s> 12"};
  const auto chat = engine->EncodeChat({&message, 1});
  const Status second = Answer(engine,
                               {.prompt = chat.ok() ? "" : message.content,
                                .prompt_ids = chat.ok() ? *chat : std::vector<int32_t>(),
                                .sampling = {.temperature = 0.8F, .repetition_penalty = 1.1F},
                                .max_tokens = 4,
                                .stop = {"x"},
                                .top_logprobs = 3,
                                .logits = LogitsWanted::kGenerated},
                               finding);
  return first.ok() ? second : first;
}

}  // namespace

Trial TryModel(const std::string& path) {
  Trial trial;
  const bool counted = ResetPeakResidentBytes();
  const uint64_t before = ResidentBytes();
  {
    auto engine = Engine::Open({.model = path,
                                .ram_budget = "1GiB",
                                .threads = 1,
                                .context_tokens = 64,
                                .prefill_chunk = 16});
    if (engine.ok()) {
      const Status status = Ask(engine->get(), &trial.finding);
      trial.verdict = VerdictOf(status);
      trial.message = status.message();
    } else {
      trial.message = engine.status().message();
      if (trial.message.find(path) == std::string::npos) {
        trial.finding = "a message that does not name the file: " + trial.message;
      }
    }
  }
  if (const uint64_t peak = PeakResidentBytes(); counted && peak > before + kMaxBytes) {
    trial.finding = fmt::format("{} MiB of memory", (peak - before) >> 20);
  }
  return trial;
}

}  // namespace sluice
