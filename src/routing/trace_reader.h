// Recorded runs, whatever program wrote them, as a Trace.
//
// To read one more format: one file with a function that answers a TraceFormat, and its line in
// trace_formats.inc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "routing/trace_data.h"
#include "sluice/status.h"

namespace sluice {

struct TraceFormat {
  const char* name;     // as --from and --to take it
  const char* summary;  // for --help
  // Whether a file that begins so is of this format. `head`: its first 64 KiB.
  bool (*recognizes)(std::string_view head);
  // Everything is checked: shapes, ids, complete steps. Memory is bounded by the file's content.
  Result<Trace> (*read)(const File& file);
};

// All formats, in the order in which they are tried.
std::span<const TraceFormat> TraceFormats();

// Reads `path`. `format` is a TraceFormat::name, or "": the file's beginning tells.
// Blocks.
Result<Trace> ReadTrace(const std::string& path, std::string_view format = {});

}  // namespace sluice
