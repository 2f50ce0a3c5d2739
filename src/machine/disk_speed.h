// How fast this machine reads a file past the page cache, the way experts are read.
#pragma once

#include <cstdint>
#include <functional>

#include "base/file.h"
#include "sluice/status.h"

namespace sluice {

struct DiskRate {
  double bytes_per_s = 0;   // over the whole time
  double worst_second = 0;  // bytes of the slowest whole second; 0 if it lasted less than two
};

// Reads of `request_bytes` at random places of `file`, `depth` of them under way at all times, for
// about `seconds`. Direct reads where the file system has them. `each_second` may be empty.
// REQUIRES: the file has at least `request_bytes` and kDirectAlignment more.
Result<DiskRate> MeasureDirectRead(const File& file, uint64_t request_bytes, int depth,
                                   double seconds, const std::function<void(double)>& each_second);

}  // namespace sluice
