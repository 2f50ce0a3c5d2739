// The weight layout of the CPU kernels: groups of 16 rows, interleaved unit by unit.
//
// A block of the file's format divides into units of 1, 2 or 4 bytes (FormatSpec::fields). A group
// stores, unit by unit, the unit of its first row, of its second row, ... so that one vector load
// brings the same place of 16 rows: a lane is an output element, and no sums across lanes are
// needed. Formats whose block has one 2-byte scale take two blocks together, those with one of
// 1 byte four, so that lines stay 64 bytes long; what is left at the end stands alone. A group of r
// < 16 rows at the end of a matrix interleaves r rows. Just the bytes of the file, permuted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/format.h"

namespace sluice {

inline constexpr int64_t kGroupRows = 16;

// from: `rows` <= 16 rows of the file's layout; to: the group. They must not overlap.
void PackGroup(const FormatSpec& spec, int64_t rows, int64_t cols, const std::byte* from,
               std::byte* to);

// Row `row` of a group of `rows`, back in the file's layout.
void UnpackRow(const FormatSpec& spec, int64_t rows, int64_t cols, int64_t row,
               const std::byte* group, std::byte* to);

// A group of `rows` < 16 spread to one of 16 whose further rows are zero bytes.
void WidenGroup(const FormatSpec& spec, int64_t rows, int64_t cols, const std::byte* from,
                std::byte* to);

}  // namespace sluice
