// For tests: what the test program has allocated with `new`.
#pragma once

#include <cstdint>

namespace sluice {

int64_t AllocationCount();
int64_t AllocatedBytes();

}  // namespace sluice
