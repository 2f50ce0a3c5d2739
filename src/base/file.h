// Files that hold weights: exact reads, and asynchronous aligned reads that bypass the page cache.
//
// Weights are read, never mapped: a file that is truncated while we run is then an error and not a
// SIGBUS. One that somebody writes to is an error, too; one whose name is given to another file
// stays what it was. A File may be a range of a larger file; the model that is embedded in the
// executable is read that way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "sluice/status.h"

struct stat;

namespace sluice {

// Alignment that direct reads demand of offset, length and memory.
inline constexpr uint64_t kDirectAlignment = 4096;

class File {
 public:
  // Opens `path` for reading.
  static Result<std::unique_ptr<File>> Open(const std::string& path);
  // Opens bytes [offset, offset + bytes) of `path` as if they were a file called `name`.
  static Result<std::unique_ptr<File>> OpenRange(const std::string& path, uint64_t offset,
                                                 uint64_t bytes, std::string name);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& name() const { return name_; }
  uint64_t bytes() const { return bytes_; }

  // Fills `out` from `offset`. Blocks. Fails if the file ends before that. Thread-safe.
  Status ReadAt(uint64_t offset, std::span<std::byte> out) const;
  // A failure if somebody has written to the file since it was opened: what was read may be of two
  // files. Every read asks. Thread-safe.
  Status CheckUnchanged() const;
  // The whole file, which must not be longer than `limit` bytes.
  Result<std::string> ReadAll(uint64_t limit) const;

 private:
  friend class ReadQueue;
  // When it was written last.
  struct Version {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    bool operator==(const Version&) const = default;
  };
  static Version VersionOf(const struct stat& status);
  File(std::string name, int buffered, int direct, uint64_t begin, uint64_t bytes, Version version);

  std::string name_;
  int buffered_fd_;
  int direct_fd_;   // -1 where the file system refuses O_DIRECT
  uint64_t begin_;  // offset of byte 0 in the underlying file
  uint64_t bytes_;
  Version version_;  // when it was opened
};

enum class Urgency { kDemand, kSpeculative };

// Where in an aligned buffer the bytes [offset, offset + bytes) of `file` will lie.
struct AlignedExtent {
  uint64_t begin = 0;  // absolute offset in the underlying file, a multiple of kDirectAlignment
  uint64_t bytes = 0;  // a multiple of kDirectAlignment
  uint64_t skip = 0;   // offset of the wanted bytes in the buffer
};
// The most that AlignedExtent::bytes can exceed the bytes that were asked for.
inline constexpr uint64_t kAlignedExtentSlack = 2 * kDirectAlignment;

struct ReadRequest {
  const File* file = nullptr;  // outlives the completion
  uint64_t offset = 0;
  uint64_t bytes = 0;           // > 0
  std::byte* buffer = nullptr;  // kDirectAlignment-aligned, Extent(file, offset, bytes).bytes long
  uint64_t tag = 0;             // comes back in the completion
  Urgency urgency = Urgency::kDemand;
};

struct ReadCompletion {
  uint64_t tag = 0;
  Status status;
};

// Reads in flight. Demand reads start before speculative ones; within a class, first in, first out.
// One thread submits and collects. Destroying the queue waits for what the kernel already has.
class ReadQueue {
 public:
  enum class Backend { kAuto, kIoUring, kThreads };
  // `depth`: reads that the operating system has at a time (>= 1).
  // kAuto takes io_uring where the kernel allows it, else a pool of threads that pread.
  static Result<std::unique_ptr<ReadQueue>> Create(int depth, Backend backend = Backend::kAuto);
  virtual ~ReadQueue() = default;
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;

  static AlignedExtent Extent(const File& file, uint64_t offset, uint64_t bytes);

  virtual void Submit(const ReadRequest& request) = 0;
  // Speculative reads with this tag that have not started yet: makes them demand reads, or drops
  // them and tells how many, which then never complete.
  virtual void Promote(uint64_t tag) = 0;
  virtual size_t Cancel(uint64_t tag) = 0;
  // Completions that have arrived, at most out.size(); never blocks.
  virtual size_t Poll(std::span<ReadCompletion> out) = 0;
  // The same, but blocks until there is at least one. REQUIRES: a request is under way.
  virtual size_t Wait(std::span<ReadCompletion> out) = 0;
  virtual const char* backend_name() const = 0;

 protected:
  ReadQueue() = default;
  // What a backend needs of a File, which only ReadQueue may see into.
  struct Target {
    int fd = -1;
    AlignedExtent extent;
    uint64_t needed = 0;  // bytes of the extent that must arrive
  };
  static Target Resolve(const ReadRequest& request);
};

}  // namespace sluice
