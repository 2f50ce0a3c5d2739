// Files that appear under their name only when they are whole.
#pragma once

#include <string>
#include <string_view>

#include "sluice/status.h"

namespace sluice {

// Writes `text` beside `path` first and then gives it the name: whoever reads `path` sees the old
// content or the new one, also after a full disk or a kill. What is there and no regular file
// (/dev/stdout, a pipe) is written to as it is. Failures name the file and the system's reason.
Status WriteWholeFile(const std::string& path, std::string_view text);

// A failure if a file cannot take the name `path`: something else than a regular file has it.
Status CheckReplaceable(const std::string& path);

}  // namespace sluice
