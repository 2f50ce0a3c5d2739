// Finds the format of a trace and has it read.
#include "routing/trace_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

namespace sluice {

#define SLUICE_TRACE_FORMAT(function) TraceFormat function();
#include "routing/trace_formats.inc"
#undef SLUICE_TRACE_FORMAT

std::span<const TraceFormat> TraceFormats() {
  static const std::array formats = {
#define SLUICE_TRACE_FORMAT(function) function(),
#include "routing/trace_formats.inc"
#undef SLUICE_TRACE_FORMAT
  };
  return formats;
}

namespace {

std::string FormatNames() {
  std::string names;
  for (const TraceFormat& format : TraceFormats()) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

Result<const TraceFormat*> FormatOf(const File& file, std::string_view name) {
  constexpr uint64_t kHeadBytes = 64U << 10;
  std::string head(std::min(file.bytes(), kHeadBytes), '\0');
  if (name.empty()) SLUICE_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(head))));
  for (const TraceFormat& format : TraceFormats()) {
    if (name.empty() ? format.recognizes(head) : name == format.name) return &format;
  }
  if (!name.empty()) {
    return InvalidArgumentError(
        fmt::format("there is no trace format '{}' to read; there are {}", name, FormatNames()));
  }
  return UnsupportedError(
      fmt::format("{}: this is no trace of a known format ({})", file.name(), FormatNames()));
}

}  // namespace

Result<Trace> ReadTrace(const std::string& path, std::string_view format) {
  SLUICE_TRY_ASSIGN(const std::unique_ptr<File> file, File::Open(path));
  SLUICE_TRY_ASSIGN(const TraceFormat* const found, FormatOf(*file, format));
  return found->read(*file);
}

}  // namespace sluice
