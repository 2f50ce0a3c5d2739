// What fits: the memory of a run, part by part, and how many experts a budget holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "cache/policy_spec.h"
#include "device/device.h"
#include "model/model.h"
#include "sluice/status.h"

namespace sluice {

struct MemoryRequest {
  uint64_t budget_bytes = 0;    // for the whole process
  uint64_t process_bytes = 0;   // what it has before weights: code, tokenizer, file headers
  int64_t kv_tokens = 0;        // of all sequences together
  int64_t sequences = 1;        // that decode at a time
  int64_t prefill_chunk = 512;  // tokens of a step, at most
  KvFormat kv_format = KvFormat::kF16;
  int64_t threads = 1;
  const PolicySpec* policy = nullptr;  // whose tables take memory too; null: of none
};

struct MemoryPlan {
  uint64_t budget_bytes = 0;
  uint64_t process_bytes = 0;
  uint64_t policy_bytes = 0;  // what its decisions remember
  uint64_t dense_bytes = 0;
  uint64_t kv_bytes = 0;
  uint64_t scratch_bytes = 0;  // activations and what the device's operations need
  uint64_t slot_bytes = 0;     // of one slot; 0 in a dense model
  int64_t slots = 0;
  int64_t all_slots = 0;  // that would hold every expert
  int64_t prefill_chunk = 0;

  uint64_t fixed_bytes() const {
    return process_bytes + policy_bytes + dense_bytes + kv_bytes + scratch_bytes;
  }
  uint64_t used_bytes() const { return fixed_bytes() + static_cast<uint64_t>(slots) * slot_bytes; }
  // The least budget with which a run of this prefill chunk can work, and the one that holds all.
  uint64_t minimum_bytes() const { return fixed_bytes() + slot_bytes; }
  uint64_t everything_bytes() const {
    return fixed_bytes() + static_cast<uint64_t>(all_slots) * slot_bytes;
  }
};

// Tokens per KV page.
inline constexpr int64_t kPageTokens = 64;
// How a token's keys and values are cached, of layer 0.
KvLayout KvLayoutOf(const ModelSpec& spec, KvFormat format);
// Bytes of one page, all layers.
int64_t KvPageBytes(const ModelSpec& spec, KvFormat format);
// Rows of logits that are computed together at most, beyond one per sequence.
inline constexpr int64_t kLogitRows = 8;

// Sets of logits that may wait for the reader of a sequence that asked for them.
constexpr int64_t QueuedLogitRows(int64_t vocab) {
  constexpr int64_t kBytes = 512 << 10;
  const int64_t rows = kBytes / (vocab * 4);
  return rows > kLogitRows ? rows : kLogitRows;
}

// Divides the budget. Prefill chunks shrink while activations would take more than an eighth of it,
// and before the run is refused. Fails with kResourceExhausted and the whole table where not even
// one slot is left.
Result<MemoryPlan> PlanMemory(const Model& model, const Device& device,
                              const MemoryRequest& request);

// "6GiB", "50%" (of the machine, or of the cgroup's limit), "auto" (what is free now, less a
// margin): bytes.
Result<uint64_t> ParseBudget(std::string_view text, const MemoryState& state);

}  // namespace sluice
