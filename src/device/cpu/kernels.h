// What an instruction set provides: one table of functions, filled by avx2.cc and avx512.cc from
// the same source (kernels.inl).
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/cpu/panel.h"
#include "device/ops.h"
#include "tensor/format.h"
#include "tensor/q8_activation.h"

namespace sluice {

// Columns that one tile call takes at most.
inline constexpr int kTileColumns = 8;

// Some of the query heads of one KV head, of tokens of one sequence at positions that follow each
// other. Neither heads nor tokens see each other, so how many are taken together changes nothing.
struct AttendCall {
  const KvPlace* places = nullptr;  // [tokens]
  int64_t tokens = 0;
  int64_t kv_head = 0;
  int64_t heads = 0;
  const float* q = nullptr;  // of each token [heads, key_dim], tokens q_stride numbers apart
  int64_t q_stride = 0;
  int64_t out_stride = 0;  // the same of the results [heads, value_dim]
  float scale = 1;
  int64_t window = 0;            // 0: all
  const float* sinks = nullptr;  // [heads], or null
  float* scratch = nullptr;      // AttendScratchFloats floats
};

struct Kernels {
  // One group of 16 packed rows (row_group.h) times `columns` <= kTileColumns activations:
  // out[c][0..15]. Which form serves a format is said by its Activation.
  using TileQ8 = void (*)(const std::byte* group, int64_t cols, const Q8Row* x, int columns,
                          float* const* out);
  using TileF32 = void (*)(const std::byte* group, int64_t cols, const float* const* x, int columns,
                           float* const* out);
  // Null where a format has no kernel of this kind.
  TileQ8 (*tile_q8)(Format format);
  TileF32 (*tile_f32)(Format format);

  void (*quantize_q8)(const float* x, int64_t cols, const Q8Row& row);
  void (*rms_norm)(const float* x, int64_t cols, const float* weight, float epsilon, float* out);
  void (*layer_norm)(const float* x, int64_t cols, const float* weight, float epsilon, float* out);
  // gate[i] = activation(gate[i], up[i])
  void (*activate)(FfnActivation activation, float* gate, const float* up, int64_t count);
  // y[i] += a * x[i]
  void (*add_scaled)(float a, const float* x, int64_t count, float* y);
  void (*attend)(const KvLayout& layout, const AttendCall& call, float* out);
};

// dim: of keys or values, the larger. A block of keys, twice, and of values; rows of queries.
inline constexpr int64_t AttendScratchFloats(int64_t rows, int64_t dim) {
  return 3 * 64 * dim + rows * (64 + 2 + dim);
}

// Null where this machine lacks the instructions.
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();

}  // namespace sluice
