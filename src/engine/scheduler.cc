#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace sluice {

void Scheduler::Retire() {
  const auto ended = [&](std::unique_ptr<Sequence>& sequence) {
    if (sequence->cancelled()) sequence->Fail(CancelledError("the request was cancelled"));
    if (!sequence->finished()) return false;
    kv_.Give(&sequence->pages);
    return true;
  };
  std::erase_if(running_, ended);
  std::erase_if(waiting_, ended);
}

void Scheduler::Admit() {
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < parallel_) {
    Sequence& next = *waiting_.front();
    next.pages = kv_.Take(next.limit());
    if (next.pages.empty()) return;  // until somebody ends
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Scheduler::Append(Sequence* sequence, int64_t count, Batch* batch) {
  const std::span<const int32_t> pending = sequence->Pending();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t position = sequence->computed() + i;
    if (sequence->WantsLogits(position)) {
      batch->wanted.push_back(static_cast<int32_t>(batch->tokens.size()));
      wanted_.push_back({.sequence = sequence, .position = position});
    }
    batch->tokens.push_back(pending[static_cast<size_t>(i)]);
    batch->places.push_back(
        {.pages = sequence->pages.data(), .position = static_cast<int32_t>(position)});
    batch->traced.push_back({.request = sequence->id(), .position = position});
  }
  shares_.push_back({.sequence = sequence, .tokens = count});
}

bool Scheduler::NextBatch(Batch* batch) {
  batch->Clear();
  shares_.clear();
  wanted_.clear();
  Retire();
  Admit();
  for (const auto& sequence : running_) {
    if (!sequence->in_prefill() && sequence->Allowed(logit_rows_) > 0) {
      Append(sequence.get(), 1, batch);
    }
  }
  for (const auto& sequence : running_) {
    const int64_t room = step_tokens_ - batch->size();
    if (room <= 0) break;
    if (!sequence->in_prefill()) continue;
    const auto pending = static_cast<int64_t>(sequence->Pending().size());
    const int64_t count = std::min({room, pending, sequence->Allowed(logit_rows_)});
    if (count > 0) Append(sequence.get(), count, batch);
  }
  return batch->size() > 0;
}

void Scheduler::FailAll(const Status& status) {
  for (const auto& sequence : running_) sequence->Fail(status);
  for (const auto& sequence : waiting_) sequence->Fail(status);
  Retire();
}

}  // namespace sluice
