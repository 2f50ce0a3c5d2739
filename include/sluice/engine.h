// The door: open a model, submit requests, pull tokens.
//
//   SLUICE_TRY_ASSIGN(auto engine, sluice::Engine::Open({.model = "m.gguf", .ram_budget =
//   "6GiB"})); SLUICE_TRY_ASSIGN(auto stream, engine->Submit({.prompt = "Hello", .max_tokens =
//   32})); while (true) {
//     SLUICE_TRY_ASSIGN(auto event, stream.Next());
//     if (!event) break;
//     std::cout << event->text << std::flush;
//   }
//
// The logits of a request depend on its own tokens alone: they are the same bits under every RAM
// budget, policy, number of threads, chunk size and company of other requests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/options.h"
#include "sluice/status.h"

namespace sluice {

// Which logits come with the events.
enum class LogitsWanted {
  kNone,
  kGenerated,  // those that each generated token was sampled from
  kAll,        // also those after every prompt token, as events of their own
};

struct Request {
  std::string prompt;               // text; control tokens in it are recognised
  std::vector<int32_t> prompt_ids;  // used instead of `prompt` when not empty
  SamplingParams sampling;
  int64_t max_tokens = -1;        // -1: until the end of text or of the context; 0: none
  std::vector<std::string> stop;  // ends the answer; not part of it
  // Teacher forcing: the answer's tokens are these, whatever the logits say, until they run out.
  std::vector<int32_t> forced_ids;
  bool ignore_eos = false;
  int top_logprobs = 0;  // alternatives per token, at most 20
  LogitsWanted logits = LogitsWanted::kNone;
};

enum class FinishReason { kNone, kEndOfText, kStopString, kMaxTokens, kContextFull };
const char* FinishReasonName(FinishReason reason);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural log of the softmax of the model's own logits
};

struct Event {
  int32_t token = -1;      // -1: an event without a token, which only finishes
  bool of_prompt = false;  // with LogitsWanted::kAll: the logits after this prompt token
  std::string text;        // whole characters; may be empty, or hold what was held back before
  float logprob = 0;       // with top_logprobs > 0: of `token`
  std::vector<TokenLogprob> top_logprobs;     // likeliest first
  std::vector<float> logits;                  // [vocab], if wanted
  FinishReason finish = FinishReason::kNone;  // set on the last event
};

struct RequestStats {
  int64_t prompt_tokens = 0;
  int64_t prefilled_tokens = 0;  // of the prompt, so far
  int64_t generated_tokens = 0;
  double time_to_first_token_s = 0;  // from Submit
  double prefill_s = 0;              // steps until the first token was there
  double decode_s = 0;               // steps after it
};

// The answer to one request. One thread; destroying it cancels the request. Of a closed
// engine it gives what had come and then fails with kCancelled.
class TokenStream {
 public:
  class Channel;
  explicit TokenStream(std::shared_ptr<Channel> channel);
  ~TokenStream();
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;
  TokenStream(TokenStream&&) noexcept;
  TokenStream& operator=(TokenStream&&) noexcept;

  // Blocks until the next event. nullopt after the last one. A failed status ends the stream.
  Result<std::optional<Event>> Next();
  // Stops the request at the next step; Next() then fails with kCancelled. From any thread.
  void Cancel();

  const std::vector<int32_t>& prompt_ids() const;
  RequestStats stats() const;

 private:
  std::shared_ptr<Channel> channel_;
};

struct EngineStats {
  std::string model;  // as opened
  std::string architecture;
  std::string device;
  std::string policy;
  std::vector<std::string> policy_notes;  // what it asks for that has no effect here
  std::string io;                         // how experts are read
  int threads = 0;
  int64_t context_tokens = 0;
  int64_t prefill_chunk = 0;
  int64_t vocab = 0;
  int64_t accesses_per_token = 0;  // layers times experts per token
  struct Memory {                  // bytes
    uint64_t budget = 0, peak_rss = 0, dense = 0, kv = 0, scratch = 0, slot_bytes = 0;
    int64_t slots = 0, all_slots = 0;
    uint64_t minimum = 0, everything = 0;
  } memory;
  // Counts are those of docs/expert-store.md; a replay of the run's trace gives the same.
  struct Experts {
    uint64_t accesses = 0, hits = 0, misses = 0, evictions = 0;
    uint64_t demand_misses = 0, insertions = 0, in_place = 0;
    uint64_t prefetches = 0, prefetches_used = 0, prefetches_wasted = 0;
    uint64_t prefetches_cancelled = 0;  // of which were dropped unread: depends on the disk's speed
    uint64_t adapt_firings = 0;
    uint64_t used = 0;  // each once per layer call, however many tokens chose it
    uint64_t bytes_read = 0;
    double hit_rate = 0;
    double read_bytes_per_s = 0;  // while reads were known to be under way: a lower bound
    double stall_s = 0;           // computing waited for experts
  } experts;
  uint64_t steps = 0;
  std::string trace_error;    // why tracing stopped early; "" if it did not
  std::string chat_template;  // where the model says it; "": it has none
};

struct ChatMessage {
  // Templates know system, user, assistant and tool, some of them developer, function or ipython.
  // Any other is handed over as something that a person wrote.
  std::string role;
  std::string content;
};

// Thread-safety: all methods may be called from any thread.
class Engine {
 public:
  // Blocks while dense weights load. Refuses a budget that is too small before loading.
  static Result<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Fails at once on a request that cannot be served: too long, ids out of range, queue full.
  Result<TokenStream> Submit(Request request);

  EngineStats stats() const;

  // Text to ids and back with the model's tokenizer; kUnsupported where the model has none.
  Result<std::vector<int32_t>> Encode(std::string_view text) const;
  Result<std::string> Decode(std::span<const int32_t> ids) const;
  // The prompt of a conversation as the model's own template spells it, up to where the answer
  // begins. Of a model without a template: the last message as it is. Fails with kInvalidArgument
  // without messages and where the template refuses them (roles that do not alternate, say), and
  // with kCorrupt where the template cannot be read or does not end.
  Result<std::string> FormatChat(std::span<const ChatMessage> messages) const;
  // The same as token ids, for Request::prompt_ids. What messages say stays text, also where it
  // spells a control token or another token that the model's tokenizer adds. kUnsupported where the
  // model has no tokenizer.
  Result<std::vector<int32_t>> EncodeChat(std::span<const ChatMessage> messages) const;

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
