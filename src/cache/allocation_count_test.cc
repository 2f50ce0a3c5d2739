// Replaces `new` in the test program. In its own file: the compiler must not see through it.
#include "cache/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int64_t> allocations{0};
std::atomic<int64_t> allocated_bytes{0};
}  // namespace

void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  allocated_bytes += static_cast<int64_t>(bytes);
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new(size_t bytes) {
  if (void* p = operator new(bytes, std::nothrow)) return p;
  std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace sluice {

int64_t AllocationCount() { return allocations; }
int64_t AllocatedBytes() { return allocated_bytes; }

}  // namespace sluice
