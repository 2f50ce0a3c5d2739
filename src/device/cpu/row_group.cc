#include "device/cpu/row_group.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

// Calls visit(offset in the row's bytes, offset in the group / rows, width, count) for every run of
// `count` units that lie side by side in the row.
template <typename Visit>
void ForEachRun(const FormatSpec& spec, int64_t cols, const Visit& visit) {
  if (spec.block_elements == 1) return visit(0, 0, spec.fields[0].width, cols);
  const int64_t blocks = cols / spec.block_elements;
  int64_t unit_offset = 0;
  for (int64_t first = 0; first < blocks; first += spec.pack_blocks) {
    const int64_t last = std::min<int64_t>(first + spec.pack_blocks, blocks);
    for (const FormatField& field : spec.fields) {
      for (int64_t block = first; block < last; ++block) {
        visit(block * spec.block_bytes + field.offset, unit_offset, field.width,
              int64_t{field.count});
        unit_offset += int64_t{field.count} * field.width;
      }
    }
  }
}

// The same for every unit: visit(offset in the row's bytes, offset in the group / rows, width).
template <typename Visit>
void ForEachUnit(const FormatSpec& spec, int64_t cols, const Visit& visit) {
  ForEachRun(spec, cols, [&](int64_t in_row, int64_t in_group, int width, int64_t count) {
    for (int64_t i = 0; i < count; ++i) visit(in_row + i * width, in_group + i * width, width);
  });
}

typedef int32_t Four __attribute__((vector_size(16), aligned(1), may_alias));  // NOLINT

// Four units of 4 bytes of each of 16 rows, as 4 x 4 transpositions.
void CopyFours(int64_t row_bytes, const std::byte* from, std::byte* to) {
  constexpr int64_t kLine = kGroupRows * 4;
  for (int64_t r = 0; r < kGroupRows; r += 4) {
    const auto load = [&](int64_t row) {
      return *reinterpret_cast<const Four*>(from + (r + row) * row_bytes);
    };
    const Four a = load(0);
    const Four b = load(1);
    const Four c = load(2);
    const Four d = load(3);
    const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const auto store = [&](int64_t line, Four v) {
      *reinterpret_cast<Four*>(to + line * kLine + r * 4) = v;
    };
    store(0, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    store(1, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    store(2, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    store(3, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
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
  ForEachRun(spec, cols, [&](int64_t in_row, int64_t in_group, int width, int64_t count) {
    int64_t i = 0;
    if (width == 4 && rows == kGroupRows) {
      for (; i + 4 <= count; i += 4) {
        CopyFours(row_bytes, from + in_row + i * 4, to + (in_group + i * 4) * rows);
      }
    }
    const auto copy = width == 4 ? CopyUnits<4> : width == 2 ? CopyUnits<2> : CopyUnits<1>;
    for (; i < count; ++i) {
      copy(rows, row_bytes, from + in_row + i * width, to + (in_group + i * width) * rows);
    }
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
