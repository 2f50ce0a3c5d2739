// How fast this machine reads memory.
#pragma once

#include <cstdint>

#include "sluice/status.h"

namespace sluice {

enum class PageKind { kHuge, kSmall };  // 2 MiB where the system gives them; 4 KiB

struct Rate {
  double best = 0;    // per second, of the fastest window: what the hardware can do
  double median = 0;  // of all windows: what came out beside whatever else ran
};

// `threads` threads read `bytes` of memory together, each a part of its own front to back, again
// and again for about `seconds`. Takes `bytes` of memory, which should be several times the caches.
Result<Rate> MeasureMemoryRead(PageKind pages, int threads, uint64_t bytes, double seconds);

}  // namespace sluice
