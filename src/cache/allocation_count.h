// For tests: how often the program has allocated with `new`.
#pragma once

#include <cstdint>

namespace sluice {

int64_t AllocationCount();

}  // namespace sluice
