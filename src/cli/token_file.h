// Token sequences from a text file: one per line, ids in decimal with spaces between, as `sluice
// tokenize` and `sluice synth --tokens` write them. Empty lines do not count.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/status.h"

namespace sluice {

// Fails with file and line on anything that is not an id in [0, vocab), and on a file without any.
Result<std::vector<std::vector<int32_t>>> ReadTokenFile(const std::string& path, int64_t vocab);

}  // namespace sluice
