// The future of a replay: the calls that are yet to come, out of the trace that it reads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/future.h"
#include "cache/layer_call.h"
#include "routing/trace_data.h"

namespace sluice {

class TraceFuture final : public Future {
 public:
  // `calls` are replayed in this order: the first is LayerCall::call 0. Their rows lie in `experts`
  // [rows, top_k]. Both are read at once; holds 4 bytes per call and distinct expert.
  // REQUIRES: fewer than 2^32 calls; layers and experts within `shape`.
  TraceFuture(CacheShape shape, std::span<const TraceCall> calls, std::span<const int32_t> experts,
              int32_t top_k);

  // O(1), amortised over the calls.
  uint64_t NextUse(ExpertKey key, uint64_t call) const override;

 private:
  std::vector<uint32_t> uses_;            // calls, ascending, of key 0, then of key 1, ...
  std::vector<size_t> end_;               // by key: where its uses end
  mutable std::vector<size_t> upcoming_;  // by key: its first use that has not been passed
};

}  // namespace sluice
