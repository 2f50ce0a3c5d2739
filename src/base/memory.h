// Large allocations and what the operating system says about memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "sluice/status.h"

namespace sluice {

// Zeroed anonymous pages of its own mapping: page-aligned, huge pages where they fit, given back to
// the system when destroyed. Pages cost memory only once they are touched.
class PageBuffer {
 public:
  PageBuffer() = default;
  static Result<PageBuffer> Allocate(size_t bytes, const std::string& purpose);
  ~PageBuffer();
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  PageBuffer(std::byte* data, size_t size) : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

struct MemoryState {
  uint64_t total_bytes = 0;      // of the machine, or of the tightest cgroup around this process
  uint64_t available_bytes = 0;  // that this process can still take without pushing others out
};
// Reads /proc/meminfo and the limits of cgroup v2 and v1. `root` is "" but in tests.
MemoryState ReadMemoryState(const std::string& root = "");

uint64_t ResidentBytes();      // of this process, now
uint64_t PeakResidentBytes();  // the most it ever was (VmHWM)
// Starts PeakResidentBytes anew from what is resident now; false where the system cannot.
bool ResetPeakResidentBytes();

}  // namespace sluice
