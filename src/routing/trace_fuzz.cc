// Any bytes as a trace, in every format: an answer or an error, never a crash, never memory without
// bound. What can be read can be packed and read again.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "routing/trace_reader.h"
#include "routing/trace_writers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const int fd = memfd_create("fuzz", 0);
  if (fd < 0 || write(fd, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  for (const sluice::TraceFormat& format : sluice::TraceFormats()) {
    const auto trace = sluice::ReadTrace(path, format.name);
    if (!trace.ok()) continue;
    const std::string copy = std::filesystem::temp_directory_path().string() + "/sluice-fuzz." +
                             std::to_string(getpid());
    if (!sluice::WritePackedTrace(*trace, copy).ok()) std::abort();
    const auto again = sluice::ReadTrace(copy, "packed");
    if (!again.ok() || again->experts != trace->experts ||
        again->steps.size() != trace->steps.size()) {
      std::abort();
    }
    std::filesystem::remove(copy);
  }
  close(fd);
  return 0;
}
