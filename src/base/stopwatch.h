// Time that has passed.
#pragma once

#include <chrono>

namespace sluice {

using SteadyClock = std::chrono::steady_clock;

inline double SecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

}  // namespace sluice
