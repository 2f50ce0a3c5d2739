// Any bytes as a safetensors file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const int fd = memfd_create("fuzz", 0);
  if (fd < 0 || write(fd, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  auto file = sluice::File::Open("/proc/self/fd/" + std::to_string(fd));
  if (file.ok()) {
    sluice::TensorTable tensors;
    const sluice::File* kept = tensors.AddFile(std::move(file).value());
    if (sluice::ReadSafetensors(kept, &tensors).ok()) {
      for (const auto& [name, entry] : tensors.entries()) {
        if (entry.offset + entry.bytes > entry.file->bytes()) std::abort();
      }
    }
  }
  close(fd);
  return 0;
}
