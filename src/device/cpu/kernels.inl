// The CPU kernels, once. Included by each instruction set's file inside its target region, after
// that file has defined the traits `Isa`:
//
//   Isa::I, Isa::F            vectors of kLanes int32 / float, kLanes = 8 or 16
//   Load, LoadF, Set1, ...    see avx512.cc
//   DotU8(acc, u, s)          acc + u . s per lane over 4 unsigned x signed bytes
//   DotBiased(acc, Biased(s), t)   the same for signed bytes s; needs -kSignedBias * sum(t) added
//                             once
//
// Tiles: for 16 rows, lanes are rows; with 8 lanes the group is walked in two halves. Every output
// element has one accumulator and meets its blocks in ascending order: just the operations of
// FormatSpec::dot_q8 / dot_f32, so the results are equal to the reference bit for bit.

SLUICE_INLINE int32_t LoadDword(const int8_t* p) {
  int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// Fetches what a kernel reads a little later. How far ahead is best depends on how many misses a
// core keeps in flight: measured on a Zen 5 (8 KiB: 41 GB/s, 2 KiB: 37) and on a Xeon with Golden
// Cove's successor cores (1 to 2.5 KiB: 18 GB/s, 8 KiB: 13), one thread, Q4_0.
const int64_t kPrefetchBytes = __builtin_cpu_is("intel") != 0 ? 2048 : 8192;
// kRecord: bytes that are read in another order than they lie in; what is fetched lies beyond them.
template <int64_t kRecord = 0>
SLUICE_INLINE void Prefetch(const std::byte* p) {
  __builtin_prefetch(p + (kPrefetchBytes > kRecord ? kPrefetchBytes : kRecord), 0, 3);
}

#include "device/cpu/block_sum.inl"
#include "device/cpu/blocks_32.inl"
#include "device/cpu/blocks_k.inl"
#include "device/cpu/tiles.inl"
#include "device/cpu/tiles_float.inl"

// Calls found.operator()<Reader>() for a quantized format.
template <typename Found>
SLUICE_INLINE auto WithReader(Format format, const Found& found) {
  switch (format) {
    case Format::kQ8_0:
      return found.template operator()<ReaderQ8_0>();
    case Format::kQ4_0:
      return found.template operator()<ReaderQ4_0>();
    case Format::kQ4_1:
      return found.template operator()<ReaderQ4_1>();
    case Format::kQ5_0:
      return found.template operator()<ReaderQ5_0>();
    case Format::kQ5_1:
      return found.template operator()<ReaderQ5_1>();
    case Format::kIQ4_NL:
      return found.template operator()<ReaderIQ4_NL>();
    case Format::kMXFP4:
      return found.template operator()<ReaderMXFP4>();
    case Format::kQ2_K:
      return found.template operator()<ReaderQ2_K>();
    case Format::kQ3_K:
      return found.template operator()<ReaderQ3_K>();
    case Format::kQ4_K:
      return found.template operator()<ReaderQ4_K>();
    case Format::kQ5_K:
      return found.template operator()<ReaderQ5_K>();
    case Format::kQ6_K:
      return found.template operator()<ReaderQ6_K>();
    case Format::kIQ4_XS:
      return found.template operator()<ReaderIQ4_XS>();
    default:
      return found.template operator()<void>();
  }
}

Kernels::TileQ8 FindTileQ8(Format format) {
  return WithReader(format, []<class Reader>() -> Kernels::TileQ8 {
    if constexpr (std::is_void_v<Reader>)
      return nullptr;
    else
      return AnyQ8<Reader>;
  });
}
Kernels::TileF32 FindTileF32(Format format) {
  switch (format) {
    case Format::kF32:
      return AnyFloat<TileF32>;
    case Format::kF16:
      return AnyFloat<TileF16>;
    case Format::kBF16:
      return AnyFloat<TileBF16>;
    default:
      return nullptr;
  }
}

// ---- element-wise: 16 lanes on every instruction set, so sums have one order --------------------

SLUICE_INLINE V16f LoadV(const float* p) {
  V16f v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
SLUICE_INLINE void StoreV(float* p, V16f v) { std::memcpy(p, &v, sizeof(v)); }

// ((0+8)+(4+12)) + ((2+10)+(6+14)) + ...: halves added to halves.
SLUICE_INLINE float SumLanes(V16f v) {
  float lanes[16];
  StoreV(lanes, v);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

SLUICE_INLINE V16f ExpV(V16f x) {
  // device/math.h, lane by lane.
  const V16f round = V16f{} + 12582912.0F;
  const V16f shifted = x * 1.44269504088896341F + round;
  const V16f n = shifted - round;
  const V16f r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  V16f p = V16f{} + 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const V16u exponent = (V16u)shifted - (V16u)round;
  const V16f scaled = (V16f)((V16u)p + (exponent << 23));
  const V16f zero = {};
  const V16f low = x < -87.0F ? zero : scaled;
  const V16f high = x > 88.0F ? zero + __builtin_inff() : low;
  return x != x ? x : high;
}

void RmsNormRow(const float* x, int64_t cols, const float* weight, float epsilon, float* out) {
  V16f squares = {};
  int64_t i = 0;
  for (; i + 16 <= cols; i += 16) squares += LoadV(x + i) * LoadV(x + i);
  float total = SumLanes(squares);
  for (int64_t k = i; k < cols; ++k) total += x[k] * x[k];
  const float scale = 1.0F / __builtin_sqrtf(total / static_cast<float>(cols) + epsilon);
  for (int64_t k = 0; k < cols; ++k) out[k] = x[k] * scale * weight[k];
}

// The mean, then the squared differences from it: two passes, as the definition reads.
void LayerNormRow(const float* x, int64_t cols, const float* weight, float epsilon, float* out) {
  const int64_t whole = cols / 16 * 16;
  V16f lanes = {};
  for (int64_t k = 0; k < whole; k += 16) lanes += LoadV(x + k);
  float sum = SumLanes(lanes);
  for (int64_t k = whole; k < cols; ++k) sum += x[k];
  const float mean = sum / static_cast<float>(cols);
  lanes = V16f{};
  for (int64_t k = 0; k < whole; k += 16) {
    const V16f d = LoadV(x + k) - mean;
    lanes += d * d;
  }
  float squares = SumLanes(lanes);
  for (int64_t k = whole; k < cols; ++k) squares += (x[k] - mean) * (x[k] - mean);
  const float scale = 1.0F / __builtin_sqrtf(squares / static_cast<float>(cols) + epsilon);
  for (int64_t k = 0; k < cols; ++k) out[k] = (x[k] - mean) * scale * weight[k];
}

void SwiGlu(float* gate, const float* up, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const V16f g = LoadV(gate + i);
    StoreV(gate + i, g / (ExpV(-g) + 1.0F) * LoadV(up + i));
  }
  for (; i < count; ++i) gate[i] = Silu(gate[i]) * up[i];
}

void ClampedSwiGluRow(float* gate, const float* up, int64_t count) {
  const V16f limit = V16f{} + kSwiGluLimit;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    V16f g = LoadV(gate + i);
    V16f u = LoadV(up + i);
    g = g > limit ? limit : g;
    u = u < -limit ? -limit : u;
    u = u > limit ? limit : u;
    StoreV(gate + i, (u + 1.0F) * (g / (ExpV(-(g * kSwiGluAlpha)) + 1.0F)));
  }
  for (; i < count; ++i) gate[i] = ClampedSwiGlu(gate[i], up[i]);
}

void Activate(FfnActivation activation, float* gate, const float* up, int64_t count) {
  switch (activation) {
    case FfnActivation::kSwiGlu:
      return SwiGlu(gate, up, count);
    case FfnActivation::kClampedSwiGlu:
      return ClampedSwiGluRow(gate, up, count);
  }
}

void AddScaled(float a, const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] += a * x[i];
}

void QuantizeRow(const float* x, int64_t cols, const Q8Row& row) {
  for (int64_t block = 0; block < cols / 32; ++block) {
    const V16f a = LoadV(x + block * 32);
    const V16f b = LoadV(x + block * 32 + 16);
    // Magnitudes as integers: the same order, and a NaN wins.
    const V16i clear_sign = V16i{} + 0x7FFFFFFF;
    const V16i abs_a = (V16i)a & clear_sign;
    const V16i abs_b = (V16i)b & clear_sign;
    const V16i most = abs_a > abs_b ? abs_a : abs_b;
    int32_t lanes[16];
    std::memcpy(lanes, &most, sizeof(lanes));
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) {
        lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
      }
    }
    float largest;
    std::memcpy(&largest, lanes, sizeof(largest));
    const float inverse = largest > 0 ? 127.0F / largest : 0.0F;
    int32_t sums[2];
    for (int h = 0; h < 2; ++h) {
      sums[h] = Isa::RoundToBytes((h == 0 ? a : b) * inverse, row.q + block * 32 + h * 16);
    }
    row.scale[block] = largest / 127.0F;
    row.sum16[block * 2] = sums[0];
    row.sum16[block * 2 + 1] = sums[1];
    row.sum[block] = sums[0] + sums[1];
    row.scaled_sum[block] = row.scale[block] * static_cast<float>(row.sum[block]);
  }
}

#include "device/cpu/attention.inl"

constexpr Kernels kKernels = {.tile_q8 = FindTileQ8,
                              .tile_f32 = FindTileF32,
                              .quantize_q8 = QuantizeRow,
                              .rms_norm = RmsNormRow,
                              .layer_norm = LayerNormRow,
                              .activate = Activate,
                              .add_scaled = AddScaled,
                              .attend = Attend};
