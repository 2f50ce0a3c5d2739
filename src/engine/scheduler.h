// Who takes part in the next step: continuous batching with chunked prefill.
//
// Requests wait in the order of arrival. A running sequence owns its pages until it ends, so
// nothing is ever preempted. A step takes one token of every sequence that decodes, then prompt
// tokens of the others, oldest first, up to the step's size.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/batch.h"
#include "engine/kv_cache.h"
#include "engine/sequence.h"

namespace sluice {

class Scheduler {
 public:
  // `parallel`: sequences that run at a time; `step_tokens` >= parallel; `logit_rows`: sets of
  // logits that may wait for a sequence's reader.
  Scheduler(KvCache* kv, int64_t parallel, int64_t step_tokens, int64_t logit_rows)
      : kv_(*kv), parallel_(parallel), step_tokens_(step_tokens), logit_rows_(logit_rows) {}

  void Add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }
  size_t waiting() const { return waiting_.size(); }
  bool idle() const { return waiting_.empty() && running_.empty(); }

  // Drops sequences that are finished or cancelled, lets waiting ones in, and fills *batch. False
  // if there is nothing to do, or nothing before a reader takes logits. The batch points into
  // sequences: valid until the next call.
  bool NextBatch(Batch* batch);

  // What each sequence put into the batch, in the batch's order.
  struct Share {
    Sequence* sequence;
    int64_t tokens;
  };
  const std::vector<Share>& shares() const { return shares_; }
  // The sequence and position of the batch's `wanted`th token with logits.
  struct Wanted {
    Sequence* sequence;
    int64_t position;
  };
  const std::vector<Wanted>& wanted() const { return wanted_; }

  // Ends every sequence with `status`.
  void FailAll(const Status& status);

 private:
  void Retire();
  void Admit();
  void Append(Sequence* sequence, int64_t count, Batch* batch);

  KvCache& kv_;
  const int64_t parallel_;
  const int64_t step_tokens_;
  const int64_t logit_rows_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  // in the order of admission
  std::vector<Share> shares_;
  std::vector<Wanted> wanted_;
};

}  // namespace sluice
