// SLUICE_CHECK: a broken invariant is a bug, and a bug stops the program where it is seen.
// Never for input: what comes from a file, a socket or a person fails with a Status.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace sluice

#define SLUICE_CHECK(condition) \
  ((condition) ? void() : ::sluice::CheckFailed(__FILE__, __LINE__, #condition))
