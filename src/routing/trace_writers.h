// Traces in memory to files: for conversion. A running engine writes with TraceWriter.
#pragma once

#include <span>
#include <string>

#include "routing/trace_data.h"
#include "sluice/status.h"

namespace sluice {

struct TraceOutput {
  const char* name;       // as --to takes it
  const char* extension;  // of a path that asks for it
  const char* summary;
  Status (*write)(const Trace& trace, const std::string& path);
};
std::span<const TraceOutput> TraceOutputs();

// Writes `path` anew; `format` is a TraceOutput::name, or "": the path's extension tells. What the
// format has no place for is lost. Blocks.
Status WriteTrace(const Trace& trace, const std::string& path, std::string_view format = {});

// JSON lines, version 2. Rows without tokens are numbered; rows without weights get 0.
Status WriteJsonlTrace(const Trace& trace, const std::string& path);
// The compact form, docs/trace-format.md.
Status WritePackedTrace(const Trace& trace, const std::string& path);

}  // namespace sluice
