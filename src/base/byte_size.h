// Byte counts as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/status.h"

namespace sluice {

// "6GiB", "512M", "1.5 GB", "4096": K/M/G/T and KiB..TiB are powers of 1024 (as in llama.cpp's and
// Docker's flags), KB..TB powers of 1000.
Result<uint64_t> ParseByteSize(std::string_view text);

// "1.50 GiB", "312.0 KiB", "17 B": for people.
std::string FormatByteSize(uint64_t bytes);

}  // namespace sluice
