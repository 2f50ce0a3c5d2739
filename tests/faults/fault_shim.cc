#include "faults/fault_shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kLarge = 4U << 10;

struct State {
  Fault fault;
  std::atomic<uint64_t> seen{0};
  std::atomic<bool> happened{false};
  std::atomic<bool> refuse_io_uring{false};
};

// Reads SLUICE_FAULT when it is first asked for.
State& TheState() {
  static State state;
  return state;
}

// What the next operation of this kind has to suffer.
enum class Fate { kNone, kError, kShort, kEnd, kInterrupt };

// What this thread does is not counted.
thread_local bool spared = false;

Fate Count(FaultOperation operation) {
  State& state = TheState();
  if (spared || state.fault.operation != operation) return Fate::kNone;
  if (state.seen.fetch_add(1) + 1 != state.fault.nth) return Fate::kNone;
  state.happened = true;
  switch (state.fault.kind) {
    case FaultKind::kError:
      return Fate::kError;
    case FaultKind::kShort:
      return Fate::kShort;
    case FaultKind::kEnd:
      return Fate::kEnd;
    case FaultKind::kInterrupt:
      return Fate::kInterrupt;
    case FaultKind::kKill:
      raise(SIGKILL);
      return Fate::kNone;
    case FaultKind::kCall: {
      const FaultsSpared spare;
      state.fault.call();
      return Fate::kNone;
    }
  }
  return Fate::kNone;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// A regular file that is open for writing, and no standard stream.
bool IsOutput(int fd) {
  struct stat status = {};
  return fd > 2 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && fstat(fd, &status) == 0 &&
         S_ISREG(status.st_mode);
}

// Not /proc and not /dev.
bool IsOurs(const char* path) {
  return std::strncmp(path, "/proc/", 6) != 0 && std::strncmp(path, "/sys/", 5) != 0 &&
         std::strncmp(path, "/dev/", 5) != 0;
}

int Fails(int error) {
  errno = error;
  return -1;
}

ssize_t ReadAt(const char* name, int fd, void* buffer, size_t bytes, off_t offset) {
  auto* real = Real<ssize_t(int, void*, size_t, off_t)>(name);
  switch (Count(FaultOperation::kRead)) {
    case Fate::kError:
      return Fails(EIO);
    case Fate::kInterrupt:
      return Fails(EINTR);
    case Fate::kEnd:
      return 0;
    case Fate::kShort:  // direct reads want whole blocks
      return real(fd, buffer, bytes > 4096 ? 4096 : bytes, offset);
    case Fate::kNone:
      break;
  }
  return real(fd, buffer, bytes, offset);
}

// Reads that are about to go to the kernel. A descriptor that is none makes them fail, an offset
// beyond everything makes them end.
void CountSubmitted(io_uring* ring) {
  io_uring_sq& queue = ring->sq;
  const unsigned mask = *queue.kring_mask;
  for (unsigned i = queue.sqe_head; i != queue.sqe_tail; ++i) {
    io_uring_sqe& entry = queue.sqes[i & mask];
    if (entry.opcode != IORING_OP_READ) continue;
    switch (Count(FaultOperation::kRead)) {
      case Fate::kError:
        entry.fd = -1;
        break;
      case Fate::kEnd:
        entry.off = uint64_t{1} << 50;
        break;
      case Fate::kShort:
        entry.len = entry.len > 4096 ? 4096 : entry.len;
        break;
      case Fate::kInterrupt:
      case Fate::kNone:
        break;
    }
  }
}

std::FILE* OpenStream(const char* name, const char* path, const char* mode) {
  if (IsOurs(path) && Count(FaultOperation::kOpen) == Fate::kError) {
    errno = EMFILE;
    return nullptr;
  }
  return Real<std::FILE*(const char*, const char*)>(name)(path, mode);
}

int Open(const char* name, const char* path, int flags, mode_t mode) {
  if (IsOurs(path) && Count(FaultOperation::kOpen) == Fate::kError) return Fails(EMFILE);
  return Real<int(const char*, int, ...)>(name)(path, flags, mode);
}

void* Map(const char* name, void* address, size_t bytes, int protection, int flags, int fd,
          off_t offset) {
  const bool counted = (flags & MAP_ANONYMOUS) != 0 && bytes >= kLarge;
  if (counted && Count(FaultOperation::kAllocate) == Fate::kError) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return Real<void*(void*, size_t, int, int, int, off_t)>(name)(address, bytes, protection, flags,
                                                                fd, offset);
}

}  // namespace

void SetFault(const Fault& fault) {
  State& state = TheState();
  state.fault.operation = FaultOperation::kNone;
  state.seen = 0;
  state.happened = false;
  state.fault = fault;
}

FaultsSpared::FaultsSpared() : before_(std::exchange(spared, true)) {}
FaultsSpared::~FaultsSpared() { spared = before_; }

uint64_t OperationsSeen() { return TheState().seen; }
bool FaultHappened() { return TheState().happened; }
void RefuseIoUring(bool refuse) { TheState().refuse_io_uring = refuse; }

namespace {

// Of a preloaded shim.
__attribute__((constructor)) void ReadEnvironment() {
  const char* text = std::getenv("SLUICE_FAULT");  // NOLINT(concurrency-mt-unsafe)
  char operation[16];
  char kind[16];
  unsigned long long nth = 0;
  if (text == nullptr || std::sscanf(text, "%15[a-z]:%15[a-z]:%llu", operation, kind, &nth) != 3) {
    return;
  }
  const std::pair<const char*, FaultOperation> operations[] = {
      {"open", FaultOperation::kOpen},
      {"read", FaultOperation::kRead},
      {"write", FaultOperation::kWrite},
      {"allocate", FaultOperation::kAllocate}};
  const std::pair<const char*, FaultKind> kinds[] = {{"error", FaultKind::kError},
                                                     {"short", FaultKind::kShort},
                                                     {"end", FaultKind::kEnd},
                                                     {"interrupt", FaultKind::kInterrupt},
                                                     {"kill", FaultKind::kKill}};
  Fault fault{.nth = nth};
  for (const auto& [name, value] : operations) {
    if (std::strcmp(name, operation) == 0) fault.operation = value;
  }
  for (const auto& [name, value] : kinds) {
    if (std::strcmp(name, kind) == 0) fault.kind = value;
  }
  SetFault(fault);
}

// A program that lived to its end without the fault says so, for whoever counts.
__attribute__((destructor)) void SayIfNothingHappened() {
  const char* path = std::getenv("SLUICE_FAULT_COUNT");  // NOLINT(concurrency-mt-unsafe)
  if (path == nullptr) return;
  const FaultsSpared spare;
  std::FILE* file = Real<std::FILE*(const char*, const char*)>("fopen")(path, "w");
  if (file == nullptr) return;
  std::fprintf(file, "%d %llu\n", FaultHappened() ? 1 : 0,
               static_cast<unsigned long long>(OperationsSeen()));
  Real<int(std::FILE*)>("fclose")(file);
}

}  // namespace
}  // namespace sluice

// What stands before the C library's functions of the same names.
extern "C" {

using sluice::Count;
using sluice::Fate;
using sluice::FaultOperation;

ssize_t pread(int fd, void* buffer, size_t bytes, off_t offset) {
  return sluice::ReadAt("pread", fd, buffer, bytes, offset);
}
ssize_t pread64(int fd, void* buffer, size_t bytes, off_t offset) {
  return sluice::ReadAt("pread64", fd, buffer, bytes, offset);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return sluice::Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return sluice::Open("open64", path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) { return sluice::OpenStream("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) {
  return sluice::OpenStream("fopen64", path, mode);
}

ssize_t write(int fd, const void* buffer, size_t bytes) {
  auto* real = sluice::Real<ssize_t(int, const void*, size_t)>("write");
  if (!sluice::IsOutput(fd)) return real(fd, buffer, bytes);
  switch (Count(FaultOperation::kWrite)) {
    case Fate::kError:
      // A full disk takes what still fits first.
      if (bytes > 1) (void)!real(fd, buffer, bytes / 2);
      return sluice::Fails(ENOSPC);
    case Fate::kInterrupt:
      return sluice::Fails(EINTR);
    case Fate::kShort:
      return real(fd, buffer, bytes > 1 ? bytes / 2 : bytes);
    default:
      return real(fd, buffer, bytes);
  }
}

size_t fwrite(const void* buffer, size_t size, size_t count, FILE* file) {
  auto* real = sluice::Real<size_t(const void*, size_t, size_t, FILE*)>("fwrite");
  if (!sluice::IsOutput(fileno(file)) || Count(FaultOperation::kWrite) != Fate::kError) {
    return real(buffer, size, count, file);
  }
  const size_t written = real(buffer, size, count / 2, file);
  errno = ENOSPC;
  return written;
}

int fclose(FILE* file) {
  const bool fails =
      sluice::IsOutput(fileno(file)) && Count(FaultOperation::kWrite) == Fate::kError;
  const int closed = sluice::Real<int(FILE*)>("fclose")(file);
  return fails ? sluice::Fails(ENOSPC) : closed;
}

int fsync(int fd) {
  if (Count(FaultOperation::kWrite) == Fate::kError) return sluice::Fails(EIO);
  return sluice::Real<int(int)>("fsync")(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (Count(FaultOperation::kWrite) == Fate::kError) return sluice::Fails(ENOSPC);
  return sluice::Real<int(int, int, off_t, off_t)>("fallocate")(fd, mode, offset, bytes);
}

int rename(const char* from, const char* to) {
  if (Count(FaultOperation::kWrite) == Fate::kError) return sluice::Fails(EACCES);
  return sluice::Real<int(const char*, const char*)>("rename")(from, to);
}

void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return sluice::Map("mmap", address, bytes, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return sluice::Map("mmap64", address, bytes, protection, flags, fd, offset);
}

int io_uring_queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  if (sluice::TheState().refuse_io_uring) return -ENOSYS;
  return sluice::Real<int(unsigned, io_uring*, unsigned)>("io_uring_queue_init")(entries, ring,
                                                                                 flags);
}
int io_uring_submit(io_uring* ring) {
  sluice::CountSubmitted(ring);
  return sluice::Real<int(io_uring*)>("io_uring_submit")(ring);
}
int io_uring_submit_and_wait(io_uring* ring, unsigned wait) {
  sluice::CountSubmitted(ring);
  return sluice::Real<int(io_uring*, unsigned)>("io_uring_submit_and_wait")(ring, wait);
}

}  // extern "C"

void* operator new(size_t bytes) {
  const bool fails = bytes >= sluice::kLarge && Count(FaultOperation::kAllocate) == Fate::kError;
  void* memory = fails ? nullptr : std::malloc(bytes > 0 ? bytes : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
