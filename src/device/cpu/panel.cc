#include "device/cpu/panel.h"

#include <cstring>

namespace sluice {

void PackColumns(const Q8Row* rows, int count, int64_t cols, ColumnBlock* panel) {
  for (int64_t b = 0; b < cols / 32; ++b) {
    ColumnBlock& block = panel[b];
    for (int c = 0; c < count; ++c) {
      const Q8Row& row = rows[c];
      std::memcpy(block.q[c], row.q + b * 32, 32);
      block.scale[c] = row.scale[b];
      block.scaled_sum[c] = row.scaled_sum[b];
      block.bias[c] = -128 * row.sum[b];
      for (int h = 0; h < 2; ++h) {
        block.sum16[h][c] = static_cast<float>(row.sum16[2 * b + h]);
        block.bias16[h][c] = -128 * row.sum16[2 * b + h];
      }
    }
    for (int c = count; c < kPanelColumns; ++c) {
      std::memset(block.q[c], 0, 32);
      block.scale[c] = block.scaled_sum[c] = block.sum16[0][c] = block.sum16[1][c] = 0;
      block.bias[c] = block.bias16[0][c] = block.bias16[1][c] = 0;
    }
  }
}

}  // namespace sluice
