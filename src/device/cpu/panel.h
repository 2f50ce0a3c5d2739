// Products of many columns: weights and activations are laid out once so that the innermost loop is
// the same for every format.
//
// A weight panel is a packed group of 16 rows unpacked to bytes. Per block of 32 weights:
//   8 lines of 64 bytes      line i, dword r: elements 4i .. 4i + 3 of row r, plus a bias
//   RuleNumbers(rule) lines  16 floats each: the numbers of the rule, one per row
// A column panel holds kPanelColumns rows of activations. Per block of 32, one ColumnBlock.
// Missing columns of the last panel are zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "device/cpu/block_rules.h"
#include "tensor/format.h"
#include "tensor/q8_activation.h"

namespace sluice {

inline constexpr int kPanelColumns = 16;

struct alignas(64) ColumnBlock {
  int8_t q[kPanelColumns][32];
  float scale[kPanelColumns];
  float scaled_sum[kPanelColumns];
  float sum16[2][kPanelColumns];
  // -128 times the sums of q and of its halves: takes the bias of unsigned weights off a product.
  int32_t bias[kPanelColumns];
  int32_t bias16[2][kPanelColumns];
};

constexpr int64_t PanelsOf(int64_t columns) {
  return (columns + kPanelColumns - 1) / kPanelColumns;
}
// The most panels that `columns` can take which come in products of `from` at least.
constexpr int64_t MostPanels(int64_t columns, int64_t from) {
  const int64_t least = PanelsOf(from);
  return std::max(columns * least / from, columns * (least + 1) / (least * kPanelColumns + 1));
}
constexpr int64_t PanelBlockBytes(BlockRule rule) { return (8 + RuleNumbers(rule)) * 64; }
constexpr int64_t ColumnPanelBytes(int64_t cols) {
  return cols / 32 * static_cast<int64_t>(sizeof(ColumnBlock));
}

// How one instruction set multiplies panels.
struct PanelKernels {
  int from;  // columns from which on they are taken for faster than tiles; bench/README.md
  int bias;  // added to every weight's byte, which is unsigned then; 0: signed bytes

  // Null where the format has none.
  using Unpack = void (*)(const std::byte* group, int64_t cols, int bias, std::byte* panel);
  Unpack (*unpack)(Format format);
  BlockRule (*rule)(Format format);

  // out[c][0..15] for the first `count` columns of a panel.
  using Multiply = void (*)(const std::byte* panel, const ColumnBlock* columns, int64_t cols,
                            int count, float* const* out);
  Multiply (*multiply)(BlockRule rule);
};

// rows[0 .. count) to a panel; count <= kPanelColumns.
void PackColumns(const Q8Row* rows, int count, int64_t cols, ColumnBlock* panel);

// With vpdpbusd, and with the tiles of AMX (Intel SDM, volume 1, chapter 18). Null where this
// machine lacks the instructions.
const PanelKernels* Avx512Panels();
const PanelKernels* AmxPanels();

}  // namespace sluice
