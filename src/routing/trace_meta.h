// What a trace says about itself, as the JSON object with which our formats begin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "routing/trace.h"
#include "sluice/status.h"

namespace sluice {

// In the newest version, without an end of line.
std::string FormatTraceMeta(const TraceMeta& meta);
// Versions 1 and 2.
Result<TraceMeta> ParseTraceMeta(std::string_view line, int64_t* version);

}  // namespace sluice
