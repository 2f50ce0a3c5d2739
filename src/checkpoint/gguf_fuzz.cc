// Any bytes as a GGUF file: an answer or an error, never a crash, never memory without bound.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "checkpoint/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const int fd = memfd_create("fuzz", 0);
  if (fd < 0 || write(fd, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  auto file = sluice::File::Open("/proc/self/fd/" + std::to_string(fd));
  if (file.ok()) {
    auto checkpoint = sluice::OpenGguf(std::move(file).value());
    if (checkpoint.ok()) {
      for (const auto& [name, entry] : checkpoint->tensors.entries()) {
        if (entry.offset + entry.bytes > entry.file->bytes()) std::abort();
      }
    }
  }
  close(fd);
  return 0;
}
