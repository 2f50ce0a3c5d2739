// When each expert is wanted again: what Belady's rule knows, and only a replay can tell it.
#pragma once

#include <cstdint>
#include <limits>

#include "cache/layer_call.h"

namespace sluice {

class Future {
 public:
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  virtual ~Future() = default;
  // The first call (LayerCall::call) after `call` that wants the expert, or kNever. `call` must not
  // decrease from one question to the next.
  virtual uint64_t NextUse(ExpertKey key, uint64_t call) const = 0;
};

}  // namespace sluice
