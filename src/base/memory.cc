#include "base/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

// Value in bytes of "Key:   123 kB" in a /proc file.
std::optional<uint64_t> ProcField(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    uint64_t kib = 0;
    if (rest >> kib) return kib * 1024;
  }
  return std::nullopt;
}

std::optional<uint64_t> NumberIn(const std::string& path) {
  std::ifstream in(path);
  uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // absent, or "max"
}

// The path of this process in the hierarchy of `controller` ("" is cgroup v2).
std::optional<std::string> CgroupPath(const std::string& root, const std::string& controller) {
  std::ifstream in(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {  // "hierarchy:controller,controller:path"
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names == "," + controller + "," ||
        (!controller.empty() && names.find("," + controller + ",") != std::string::npos)) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

struct CgroupFiles {
  const char* controller;
  const char* mount;
  const char* limit;
  const char* usage;
  const char* reclaimable;  // key in memory.stat: page cache that gives way under pressure
};
constexpr CgroupFiles kCgroupVersions[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
    {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file"},
};

uint64_t StatValue(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string name;
  uint64_t value = 0;
  while (in >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

// A limit holds for the group and for every group above it: the tightest counts.
void ApplyCgroup(const std::string& root, const CgroupFiles& files, MemoryState* state) {
  std::optional<std::string> path = CgroupPath(root, files.controller);
  if (!path) return;
  while (true) {
    const std::string folder = root + files.mount + *path + "/";
    if (const auto limit = NumberIn(folder + files.limit)) {
      const uint64_t used = NumberIn(folder + files.usage).value_or(0);
      const uint64_t soft = std::min(used, StatValue(folder + "memory.stat", files.reclaimable));
      const uint64_t hard = used - soft;
      state->total_bytes = std::min(state->total_bytes, *limit);
      state->available_bytes =
          std::min(state->available_bytes, *limit > hard ? *limit - hard : uint64_t{0});
    }
    const size_t slash = path->rfind('/');
    if (slash == std::string::npos || path->size() <= 1) return;
    path->resize(slash);
  }
}

}  // namespace

Result<PageBuffer> PageBuffer::Allocate(size_t bytes, const std::string& purpose) {
  if (bytes == 0) return PageBuffer();
  // Huge pages need 2 MiB alignment, which mmap does not promise: take more and give the ends back.
  const size_t slack = bytes >= kHugePageBytes ? kHugePageBytes : 0;
  void* raw =
      mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) {
    return ResourceExhaustedError(fmt::format("the system gives no {} bytes for {}: {}", bytes,
                                              purpose, std::generic_category().message(errno)));
  }
  auto* begin = static_cast<std::byte*>(raw);
  if (slack == 0) return PageBuffer(begin, bytes);
  const size_t lead =
      (kHugePageBytes - reinterpret_cast<uintptr_t>(begin) % kHugePageBytes) % kHugePageBytes;
  if (lead > 0) munmap(begin, lead);
  std::byte* aligned = begin + lead;
  const size_t page = 4096;
  const size_t kept = (bytes + page - 1) / page * page;
  if (const size_t total = (bytes + slack + page - 1) / page * page; total > lead + kept) {
    munmap(aligned + kept, total - lead - kept);
  }
  // Only whole huge pages: a partly used one would cost memory beyond what was asked for.
  madvise(aligned, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
  return PageBuffer(aligned, bytes);
}

PageBuffer::~PageBuffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

PageBuffer::PageBuffer(PageBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MemoryState ReadMemoryState(const std::string& root) {
  const std::string meminfo = root + "/proc/meminfo";
  MemoryState state{.total_bytes = ProcField(meminfo, "MemTotal").value_or(0),
                    .available_bytes = ProcField(meminfo, "MemAvailable").value_or(0)};
  for (const CgroupFiles& files : kCgroupVersions) ApplyCgroup(root, files, &state);
  return state;
}

uint64_t ResidentBytes() { return ProcField("/proc/self/status", "VmRSS").value_or(0); }
uint64_t PeakResidentBytes() { return ProcField("/proc/self/status", "VmHWM").value_or(0); }

bool ResetPeakResidentBytes() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5";
  out.close();
  return !out.fail();
}

}  // namespace sluice
