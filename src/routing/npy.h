// NumPy's array files (.npy): the header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/status.h"

namespace sluice {

enum class NpyKind { kSigned, kUnsigned, kFloat, kBytes, kUcs4 };

struct NpyHeader {
  NpyKind kind = NpyKind::kSigned;
  std::string type;             // as the file names it, for messages
  uint64_t item_bytes = 0;      // > 0
  std::vector<uint64_t> shape;  // C order; empty: one item
  uint64_t header_bytes = 0;    // the items follow

  uint64_t items() const;  // of the whole array; does not overflow
  uint64_t bytes() const { return items() * item_bytes; }
};

// The length of a header that begins so, from its first kNpyPreambleBytes bytes.
inline constexpr size_t kNpyPreambleBytes = 12;
Result<uint64_t> NpyHeaderBytes(std::span<const std::byte> preamble);

// Versions 1 to 3; little-endian integers of 1 to 8 bytes, floats of 2 to 8, fixed strings. The
// rest is refused by name. `bytes` holds the whole header and may go on.
Result<NpyHeader> ParseNpyHeader(std::span<const std::byte> bytes);

// Items as numbers. REQUIRES: the kind fits, items.size() is a multiple of the item's bytes.
// An integer that does not fit becomes -1, which no count or id may be.
void NpyIntegers(const NpyHeader& header, std::span<const std::byte> items,
                 std::vector<int32_t>* out);
void NpyFloats(const NpyHeader& header, std::span<const std::byte> items, std::vector<float>* out);
// A string without the zeros at its end, as UTF-8.
Result<std::string> NpyText(const NpyHeader& header, std::span<const std::byte> items);

}  // namespace sluice
