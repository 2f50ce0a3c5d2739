#include "device/cpu/row_group.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

// Calls visit(offset in the row's bytes, offset in the group / rows, width) for every unit.
template <typename Visit>
void ForEachUnit(const FormatSpec& spec, int64_t cols, const Visit& visit) {
  const int64_t blocks = cols / spec.block_elements;
  int64_t unit_offset = 0;
  for (int64_t first = 0; first < blocks; first += spec.pack_blocks) {
    const int64_t last = std::min<int64_t>(first + spec.pack_blocks, blocks);
    for (const FormatField& field : spec.fields) {
      for (int64_t block = first; block < last; ++block) {
        for (int i = 0; i < field.count; ++i) {
          visit(block * spec.block_bytes + field.offset + int64_t{i} * field.width, unit_offset,
                field.width);
          unit_offset += field.width;
        }
      }
    }
  }
}

template <int kWidth>
void CopyUnits(int64_t rows, int64_t row_bytes, const std::byte* from, std::byte* to) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * kWidth, from + r * row_bytes, kWidth);
}

}  // namespace

void PackGroup(const FormatSpec& spec, int64_t rows, int64_t cols, const std::byte* from,
               std::byte* to) {
  const int64_t row_bytes = spec.row_bytes(cols);
  ForEachUnit(spec, cols, [&](int64_t in_row, int64_t in_group, int width) {
    const auto copy = width == 4 ? CopyUnits<4> : width == 2 ? CopyUnits<2> : CopyUnits<1>;
    copy(rows, row_bytes, from + in_row, to + in_group * rows);
  });
}

void UnpackRow(const FormatSpec& spec, int64_t rows, int64_t cols, int64_t row,
               const std::byte* group, std::byte* to) {
  ForEachUnit(spec, cols, [&](int64_t in_row, int64_t in_group, int width) {
    std::memcpy(to + in_row, group + in_group * rows + row * width, static_cast<size_t>(width));
  });
}

void WidenGroup(const FormatSpec& spec, int64_t rows, int64_t cols, const std::byte* from,
                std::byte* to) {
  std::memset(to, 0, static_cast<size_t>(kGroupRows * spec.row_bytes(cols)));
  ForEachUnit(spec, cols, [&](int64_t, int64_t in_group, int width) {
    std::memcpy(to + in_group * kGroupRows, from + in_group * rows,
                static_cast<size_t>(width * rows));
  });
}

}  // namespace sluice
