// The n-th operation of a kind fails: on purpose, once. Stands between the program and the C
// library, either linked into a test, which calls what is below, or preloaded under any program:
//
//   SLUICE_FAULT=write:error:7 LD_PRELOAD=libfault_shim.so sluice synth ... -o /tmp/x.gguf
//
// OPERATION:KIND:N, in the words of the enumerations below. Nothing here is part of sluice.
#pragma once

#include <cstdint>
#include <functional>

namespace sluice {

// What is counted. Standard streams, pipes and files of the system are left alone.
enum class FaultOperation {
  kNone,
  kOpen,      // opening a regular file to read or write
  kRead,      // pread, and each read that is handed to io_uring
  kWrite,     // everything that brings bytes or a name to a file: write, fwrite, fclose, fsync,
              // fallocate, rename
  kAllocate,  // anonymous memory of 4 KiB or more: mmap, operator new
};

enum class FaultKind {
  kError,      // EIO when reading, ENOSPC when writing, ENOMEM, EMFILE when opening
  kShort,      // a part of the bytes (reads and writes)
  kEnd,        // a read finds the end of the file
  kInterrupt,  // EINTR (not through io_uring, which has none)
  kKill,       // the process ends at once
  kCall,       // nothing fails, but `call` runs before the operation does
};

struct Fault {
  FaultOperation operation = FaultOperation::kNone;
  FaultKind kind = FaultKind::kError;
  uint64_t nth = 0;            // from 1; 0 only counts
  std::function<void()> call;  // of kCall
};

// Starts counting anew. Not while other threads are at work.
void SetFault(const Fault& fault);
// Operations since then.
uint64_t OperationsSeen();
bool FaultHappened();
// What this thread does meanwhile is neither counted nor fails.
class FaultsSpared {
 public:
  FaultsSpared();
  ~FaultsSpared();
  FaultsSpared(const FaultsSpared&) = delete;
  FaultsSpared& operator=(const FaultsSpared&) = delete;

 private:
  const bool before_;
};
// Makes the kernel seem to lack io_uring from now on, so that reads take threads.
void RefuseIoUring(bool refuse);

}  // namespace sluice
