#include "engine/sequence.h"

#include <algorithm>

namespace sluice {

Sequence::Sequence(int64_t id, Request request, std::shared_ptr<TokenStream::Channel> channel,
                   const Tokenizer* tokenizer, int64_t limit, SteadyClock::time_point submitted,
                   SamplingScratch* scratch)
    : id_(id),
      request_(std::move(request)),
      channel_(std::move(channel)),
      tokenizer_(tokenizer),
      limit_(limit),
      submitted_(submitted),
      tokens_(channel_->prompt_ids),
      prompt_tokens_(static_cast<int64_t>(tokens_.size())),
      sampler_(request_.sampling, scratch),
      text_(tokenizer, request_.stop) {}

void Sequence::Advance(int64_t count, double seconds) {
  const bool prefill = in_prefill();
  computed_ += count;
  channel_->UpdateStats([&](RequestStats* stats) {
    (prefill ? stats->prefill_s : stats->decode_s) += seconds;
    stats->prefilled_tokens = std::min(computed_, prompt_tokens_);
  });
}

FinishReason Sequence::ReasonToStop(int32_t token) const {
  const auto length = static_cast<int64_t>(tokens_.size());
  if (!request_.ignore_eos && tokenizer_ != nullptr && tokenizer_->IsEndOfGeneration(token)) {
    return FinishReason::kEndOfText;
  }
  if (text_.stopped()) return FinishReason::kStopString;
  if (request_.max_tokens >= 0 && length - prompt_tokens_ >= request_.max_tokens) {
    return FinishReason::kMaxTokens;
  }
  return length >= limit_ ? FinishReason::kContextFull : FinishReason::kNone;
}

void Sequence::OnLogits(int64_t position, std::span<const float> logits) {
  if (finished_) return;
  Event event;
  if (request_.logits == LogitsWanted::kAll ||
      (request_.logits == LogitsWanted::kGenerated && position >= prompt_tokens_ - 1)) {
    event.logits.assign(logits.begin(), logits.end());
  }
  if (position < prompt_tokens_ - 1 || request_.max_tokens == 0) {
    event.token = tokens_[static_cast<size_t>(position)];
    event.of_prompt = true;
    if (position < prompt_tokens_ - 1) {
      channel_->Push(std::move(event));
    } else {
      Finish(std::move(event), FinishReason::kMaxTokens);
    }
    return;
  }
  const auto answered = tokens_.size() - static_cast<size_t>(prompt_tokens_);
  const int32_t token = answered < request_.forced_ids.size() ? request_.forced_ids[answered]
                                                              : sampler_.Sample(logits, tokens_);
  tokens_.push_back(token);
  event.token = token;
  if (request_.top_logprobs > 0) {
    event.logprob = LogprobOf(logits, token).logprob;
    event.top_logprobs = TopLogprobs(logits, request_.top_logprobs);
  }
  const auto generated = static_cast<int64_t>(tokens_.size()) - prompt_tokens_;
  channel_->UpdateStats([&](RequestStats* stats) {
    stats->generated_tokens = generated;
    if (generated == 1) {
      stats->time_to_first_token_s =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - submitted_).count();
    }
  });
  event.text = text_.Push(token);
  const FinishReason reason = ReasonToStop(token);
  if (reason == FinishReason::kNone) {
    channel_->Push(std::move(event));
  } else {
    Finish(std::move(event), reason);
  }
}

void Sequence::Finish(Event event, FinishReason reason) {
  event.text += text_.Flush();
  event.finish = reason;
  channel_->Push(std::move(event));
  finished_ = true;
}

void Sequence::CloseIfFinished() {
  if (finished_) channel_->Close(failure_);
}

void Sequence::Fail(const Status& status) {
  if (finished_) return;
  finished_ = true;
  failure_ = status;
  channel_->Close(status);
}

}  // namespace sluice
