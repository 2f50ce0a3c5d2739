// A request that is being answered.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/stopwatch.h"
#include "engine/channel.h"
#include "engine/sampler.h"
#include "engine/text_output.h"
#include "sluice/engine.h"

namespace sluice {

class Sequence {
 public:
  // `limit`: tokens that the sequence may have in all, prompt included. `tokenizer` may be null.
  // `tokenizer` and `scratch` outlive the sequence.
  Sequence(int64_t id, Request request, std::shared_ptr<TokenStream::Channel> channel,
           const Tokenizer* tokenizer, int64_t limit, SteadyClock::time_point submitted,
           SamplingScratch* scratch);

  int64_t id() const { return id_; }
  int64_t limit() const { return limit_; }
  TokenStream::Channel& channel() { return *channel_; }
  bool cancelled() const { return channel_->cancelled(); }
  bool finished() const { return finished_; }

  // Tokens whose keys and values are not in the cache yet: the rest of the prompt, or the one that
  // was generated last.
  std::span<const int32_t> Pending() const {
    return std::span(tokens_).subspan(static_cast<size_t>(computed_));
  }
  bool in_prefill() const { return computed_ < prompt_tokens_; }
  int64_t computed() const { return computed_; }
  // The next `count` pending tokens went through a step that took `seconds`.
  void Advance(int64_t count, double seconds);
  // Tokens that may be computed now without more than `rows` sets of logits waiting for a reader.
  int64_t Allowed(int64_t rows) const {
    return request_.logits == LogitsWanted::kNone ? INT64_MAX : rows - channel_->queued_logits();
  }
  // Whether logits are of use after the pending token at `position`.
  bool WantsLogits(int64_t position) const {
    return position >= prompt_tokens_ - 1 || request_.logits == LogitsWanted::kAll;
  }
  // The logits after the token at `position`: an event, or the next token.
  void OnLogits(int64_t position, std::span<const float> logits);
  // Ends the stream once its last event is out. Comes after Advance() and the engine's statistics,
  // so that whoever has seen the end sees complete numbers.
  void CloseIfFinished();
  // Ends the stream early, with `status` as its last word.
  void Fail(const Status& status);

  std::vector<std::byte*> pages;  // of the KV cache

 private:
  FinishReason ReasonToStop(int32_t token) const;
  void Finish(Event event, FinishReason reason);

  const int64_t id_;
  const Request request_;
  const std::shared_ptr<TokenStream::Channel> channel_;
  const Tokenizer* tokenizer_;
  const int64_t limit_;
  const SteadyClock::time_point submitted_;
  std::vector<int32_t> tokens_;  // prompt, then answer
  int64_t prompt_tokens_;
  int64_t computed_ = 0;
  bool finished_ = false;
  Status failure_;
  Sampler sampler_;
  TextOutput text_;
};

}  // namespace sluice
