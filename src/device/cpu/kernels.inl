// The CPU kernels, once. Included by each instruction set's file inside its target region, after
// that file has defined the traits `Isa`:
//
//   Isa::I, Isa::F            vectors of kLanes int32 / float, kLanes = 8 or 16
//   Load, LoadF, Set1, ...    see avx512.cc
//   DotU8(acc, u, s)          acc + u . s per lane over 4 unsigned x signed bytes
//   DotS8(acc, s, t)          the same for signed bytes; needs -kSignedBias * sum(t) added once
//
// Tiles: for 16 rows, lanes are rows; with 8 lanes the group is walked in two halves. Every output
// element has one accumulator and meets its blocks in ascending order: just the operations of
// FormatSpec::dot_q8 / dot_f32, so the results are equal to the reference bit for bit.

SLUICE_INLINE int32_t LoadDword(const int8_t* p) {
  int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// Fetches the line `kPrefetchBytes` ahead: measured to matter most for several columns, where the
// out-of-order window alone does not run far enough ahead of DRAM.
constexpr int kPrefetchBytes = 8192;
SLUICE_INLINE void Prefetch(const std::byte* p) { __builtin_prefetch(p + kPrefetchBytes, 0, 3); }

// ---- Q4_0: [d x2 blocks][4 lines][4 lines], or one block at the end ----------------------------

template <int C>
SLUICE_INLINE void BlockQ4_0(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                             Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-8 * x[c].sum[block]);
  for (int i = 0; i < 4; ++i) {
    Prefetch(lines + i * 64);
    const Isa::I line = Isa::Load(lines + i * 64);
    const Isa::I low = Isa::LowNibbles(line);
    const Isa::I high = Isa::HighNibbles(line);
    for (int c = 0; c < C; ++c) {
      const int8_t* q = x[c].q + block * 32 + 4 * i;
      dots[c] = Isa::DotU8(dots[c], low, Isa::Set1(LoadDword(q)));
      dots[c] = Isa::DotU8(dots[c], high, Isa::Set1(LoadDword(q + 16)));
    }
  }
  for (int c = 0; c < C; ++c) {
    sums[c] = Isa::Fma(Isa::ToFloat(dots[c]), Isa::Mul(d, Isa::Set1F(x[c].scale[block])), sums[c]);
  }
}

template <int C>
SLUICE_INLINE void BlockQ8_0(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                             Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-Isa::kSignedBias * x[c].sum[block]);
  for (int i = 0; i < 8; ++i) {
    Prefetch(lines + i * 64);
    const Isa::I line = Isa::Load(lines + i * 64);
    for (int c = 0; c < C; ++c) {
      dots[c] = Isa::DotS8(dots[c], line, Isa::Set1(LoadDword(x[c].q + block * 32 + 4 * i)));
    }
  }
  for (int c = 0; c < C; ++c) {
    sums[c] = Isa::Fma(Isa::ToFloat(dots[c]), Isa::Mul(d, Isa::Set1F(x[c].scale[block])), sums[c]);
  }
}

// Formats of 32 with one f16 scale and kLines lines of dwords, two blocks together.
template <int C, int kLines, auto kBlock>
SLUICE_INLINE void TileScaled32(const std::byte* group, int64_t cols, const Q8Row* x,
                                float* const* out) {
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group;
    const int64_t blocks = cols / 32;
    int64_t block = 0;
    for (; block + 2 <= blocks; block += 2) {
      Prefetch(at);
      const std::byte* lines = at + 64 + half * 4;
      kBlock(lines, Isa::LoadF16(at + half * 2), x, block, sums);
      kBlock(lines + kLines * 64, Isa::LoadF16(at + 32 + half * 2), x, block + 1, sums);
      at += 64 + 2 * kLines * 64;
    }
    if (block < blocks) {
      kBlock(at + 32 + half * 4, Isa::LoadF16(at + half * 2), x, block, sums);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

template <int C>
void TileQ4_0(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaled32<C, 4, BlockQ4_0<C>>(group, cols, x, out);
}
template <int C>
void TileQ8_0(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaled32<C, 8, BlockQ8_0<C>>(group, cols, x, out);
}

// ---- Q4_K: [d | dmin][3 lines of 6-bit scales and mins][32 lines of nibbles] --------------------

template <int C>
SLUICE_INLINE void SubBlockQ4_K(const typename Isa::I* dots, Isa::F scale, Isa::F min,
                                const Q8Row* x, int64_t block, Isa::F* sums) {
  for (int c = 0; c < C; ++c) {
    const Isa::F product = Isa::Mul(scale, Isa::Set1F(x[c].scale[block]));
    sums[c] = Isa::Fma(Isa::ToFloat(dots[c]), product, sums[c]);
    sums[c] = Isa::NegFma(min, Isa::Set1F(x[c].scaled_sum[block]), sums[c]);
  }
}

template <int C>
SLUICE_INLINE void SuperBlockQ4_K(const std::byte* at, int half, const Q8Row* x, int64_t first,
                                  Isa::F* sums) {
  const Isa::F d = Isa::LoadF16(at + half * 2);
  const Isa::F dmin = Isa::LoadF16(at + 32 + half * 2);
  const std::byte* lines = at + 64 + half * 4;
  const Isa::I s0 = Isa::Load(lines);
  const Isa::I s1 = Isa::Load(lines + 64);
  const Isa::I s2 = Isa::Load(lines + 128);
  const Isa::I m6 = Isa::Set1(0x3F3F3F3F);
  const Isa::I m4 = Isa::Set1(0x0F0F0F0F);
  const Isa::I top = Isa::Set1(0x30303030);
  // Byte j of scales[0], mins[0] belongs to sub-block j, of scales[1], mins[1] to sub-block 4 + j.
  typename Isa::I scales[2];
  typename Isa::I mins[2];
  scales[0] = Isa::And(s0, m6);
  mins[0] = Isa::And(s1, m6);
  scales[1] = Isa::Or(Isa::And(s2, m4), Isa::And(Isa::template ShiftRight<2>(s0), top));
  mins[1] = Isa::Or(Isa::And(Isa::template ShiftRight<4>(s2), m4),
                    Isa::And(Isa::template ShiftRight<2>(s1), top));
  lines += 3 * 64;
  const Isa::I byte = Isa::Set1(0xFF);
  for (int pair = 0; pair < 4; ++pair) {
    typename Isa::I low_dots[C];
    typename Isa::I high_dots[C];
    for (int c = 0; c < C; ++c) low_dots[c] = high_dots[c] = Isa::Set1(0);
    for (int i = 0; i < 8; ++i) {
      Prefetch(lines + i * 64);
      const Isa::I line = Isa::Load(lines + i * 64);
      const Isa::I low = Isa::LowNibbles(line);
      const Isa::I high = Isa::HighNibbles(line);
      for (int c = 0; c < C; ++c) {
        const int8_t* q = x[c].q + (first + 2 * pair) * 32 + 4 * i;
        low_dots[c] = Isa::DotU8(low_dots[c], low, Isa::Set1(LoadDword(q)));
        high_dots[c] = Isa::DotU8(high_dots[c], high, Isa::Set1(LoadDword(q + 32)));
      }
    }
    lines += 8 * 64;
    typename Isa::I& scale = scales[pair / 2];
    typename Isa::I& min = mins[pair / 2];
    for (int odd = 0; odd < 2; ++odd) {
      SubBlockQ4_K<C>(
          odd == 0 ? low_dots : high_dots, Isa::Mul(d, Isa::ToFloat(Isa::And(scale, byte))),
          Isa::Mul(dmin, Isa::ToFloat(Isa::And(min, byte))), x, first + 2 * pair + odd, sums);
      scale = Isa::template ShiftRight<8>(scale);
      min = Isa::template ShiftRight<8>(min);
    }
  }
}

template <int C>
void TileQ4_K(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  constexpr int64_t kBytes = 36 * 64;
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    for (int64_t block = 0; block < cols / 256; ++block) {
      SuperBlockQ4_K<C>(group + block * kBytes, half, x, block * 8, sums);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

// ---- Q6_K: [d x2 blocks][52 lines][52 lines]: 32 of ql, 16 of qh, 4 of scales -------------------

template <int C, int kPart>
SLUICE_INLINE void PartQ6_K(const std::byte* ql, const std::byte* qh, Isa::I scales, Isa::F d,
                            const Q8Row* x, int64_t block, Isa::F* sums) {
  typename Isa::I dots[2][C];
  for (int h = 0; h < 2; ++h) {
    for (int c = 0; c < C; ++c) dots[h][c] = Isa::Set1(-32 * x[c].sum16[block * 2 + h]);
    for (int i = 4 * h; i < 4 * h + 4; ++i) {
      const Isa::I low_line = Isa::Load(ql + (kPart % 2 * 8 + i) * 64);
      const Isa::I low = kPart < 2 ? Isa::LowNibbles(low_line) : Isa::HighNibbles(low_line);
      const Isa::I high = Isa::And(Isa::template ShiftRight<2 * kPart>(Isa::Load(qh + i * 64)),
                                   Isa::Set1(0x03030303));
      const Isa::I q = Isa::Or(low, Isa::template ShiftLeft<4>(high));
      for (int c = 0; c < C; ++c) {
        dots[h][c] = Isa::DotU8(dots[h][c], q, Isa::Set1(LoadDword(x[c].q + block * 32 + 4 * i)));
      }
    }
  }
  // Every product and their sum are below 2^24: floats hold them exactly.
  const Isa::F scale0 = Isa::ToFloat(Isa::template SignedByte<kPart % 2 * 2>(scales));
  const Isa::F scale1 = Isa::ToFloat(Isa::template SignedByte<kPart % 2 * 2 + 1>(scales));
  for (int c = 0; c < C; ++c) {
    const Isa::F dot =
        Isa::Fma(Isa::ToFloat(dots[1][c]), scale1, Isa::Mul(Isa::ToFloat(dots[0][c]), scale0));
    sums[c] = Isa::Fma(dot, Isa::Mul(d, Isa::Set1F(x[c].scale[block])), sums[c]);
  }
}

template <int C>
SLUICE_INLINE void SuperBlockQ6_K(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t first,
                                  Isa::F* sums) {
  for (int i = 0; i < 52; ++i) Prefetch(lines + i * 64);
  for (int h = 0; h < 2; ++h) {
    const std::byte* ql = lines + h * 16 * 64;
    const std::byte* qh = lines + (32 + h * 8) * 64;
    const Isa::I s0 = Isa::Load(lines + (48 + h * 2) * 64);
    const Isa::I s1 = Isa::Load(lines + (48 + h * 2 + 1) * 64);
    PartQ6_K<C, 0>(ql, qh, s0, d, x, first + h * 4, sums);
    PartQ6_K<C, 1>(ql, qh, s0, d, x, first + h * 4 + 1, sums);
    PartQ6_K<C, 2>(ql, qh, s1, d, x, first + h * 4 + 2, sums);
    PartQ6_K<C, 3>(ql, qh, s1, d, x, first + h * 4 + 3, sums);
  }
}

template <int C>
void TileQ6_K(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  constexpr int64_t kLineBytes = 52 * 64;
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group;
    const int64_t blocks = cols / 256;
    int64_t block = 0;
    for (; block + 2 <= blocks; block += 2) {
      const std::byte* lines = at + 64 + half * 4;
      SuperBlockQ6_K<C>(lines, Isa::LoadF16(at + half * 2), x, block * 8, sums);
      SuperBlockQ6_K<C>(lines + kLineBytes, Isa::LoadF16(at + 32 + half * 2), x, block * 8 + 8,
                        sums);
      at += 64 + 2 * kLineBytes;
    }
    if (block < blocks) {
      SuperBlockQ6_K<C>(at + 32 + half * 4, Isa::LoadF16(at + half * 2), x, block * 8, sums);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

// ---- F32, F16, BF16: one line per column, products in float -------------------------------------

template <int C, int kBytes, auto kLoad>
SLUICE_INLINE void TileFloat(const std::byte* group, int64_t cols, const float* const* x,
                             float* const* out) {
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group + half * kBytes;
    for (int64_t k = 0; k < cols; ++k, at += 16 * kBytes) {
      Prefetch(at);
      const Isa::F weight = kLoad(at);
      for (int c = 0; c < C; ++c) sums[c] = Isa::Fma(weight, Isa::Set1F(x[c][k]), sums[c]);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

template <int C>
void TileF32(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
  TileFloat<C, 4, Isa::LoadF>(group, cols, x, out);
}
template <int C>
void TileF16(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
  TileFloat<C, 2, Isa::LoadF16>(group, cols, x, out);
}
template <int C>
void TileBF16(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
  TileFloat<C, 2, Isa::LoadBF16>(group, cols, x, out);
}

// ---- any number of columns from a few compiled ones ---------------------------------------------

// Every tile gives a column the same bits whatever its neighbours: how columns are cut into calls
// changes nothing but speed.
#define SLUICE_TILE(F, Row)                                                                  \
  void Any##F(const std::byte* group, int64_t cols, Row x, int columns, float* const* out) { \
    switch (columns) {                                                                       \
      case 1:                                                                                \
        Tile##F<1>(group, cols, x, out);                                                     \
        return;                                                                              \
      case 2:                                                                                \
        Tile##F<2>(group, cols, x, out);                                                     \
        return;                                                                              \
      case 3:                                                                                \
        Tile##F<3>(group, cols, x, out);                                                     \
        return;                                                                              \
      case 4:                                                                                \
        Tile##F<4>(group, cols, x, out);                                                     \
        return;                                                                              \
      case 8:                                                                                \
        Tile##F<8>(group, cols, x, out);                                                     \
        return;                                                                              \
      default:                                                                               \
        Tile##F<4>(group, cols, x, out);                                                     \
        Any##F(group, cols, x + 4, columns - 4, out + 4);                                    \
    }                                                                                        \
  }
SLUICE_TILE(Q4_0, const Q8Row*)
SLUICE_TILE(Q8_0, const Q8Row*)
SLUICE_TILE(Q4_K, const Q8Row*)
SLUICE_TILE(Q6_K, const Q8Row*)
SLUICE_TILE(F32, const float* const*)
SLUICE_TILE(F16, const float* const*)
SLUICE_TILE(BF16, const float* const*)
#undef SLUICE_TILE

Kernels::TileQ8 FindTileQ8(Format format) {
  switch (format) {
    case Format::kQ4_0:
      return AnyQ4_0;
    case Format::kQ8_0:
      return AnyQ8_0;
    case Format::kQ4_K:
      return AnyQ4_K;
    case Format::kQ6_K:
      return AnyQ6_K;
    default:
      return nullptr;
  }
}
Kernels::TileF32 FindTileF32(Format format) {
  switch (format) {
    case Format::kF32:
      return AnyF32;
    case Format::kF16:
      return AnyF16;
    case Format::kBF16:
      return AnyBF16;
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

void SiluMultiply(float* gate, const float* up, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const V16f g = LoadV(gate + i);
    StoreV(gate + i, g / (ExpV(-g) + 1.0F) * LoadV(up + i));
  }
  for (; i < count; ++i) gate[i] = Silu(gate[i]) * up[i];
}

void AddScaled(float a, const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] += a * x[i];
}

void QuantizeRow(const float* x, int64_t cols, const Q8Row& row) {
  for (int64_t block = 0; block < cols / 32; ++block) {
    const V16f a = LoadV(x + block * 32);
    const V16f b = LoadV(x + block * 32 + 16);
    const V16u clear_sign = V16u{} + 0x7FFFFFFFU;
    const V16f abs_a = (V16f)((V16u)a & clear_sign);
    const V16f abs_b = (V16f)((V16u)b & clear_sign);
    // As fmax: a NaN loses against a number.
    const V16f zero = {};
    V16f most = abs_a == abs_a ? abs_a : zero;
    most = abs_b > most ? abs_b : most;
    float lanes[16];
    StoreV(lanes, most);
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) {
        lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
      }
    }
    const float largest = lanes[0];
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

// ---- attention: one token, one KV head, all its query heads
// --------------------------------------

template <KvFormat kFormat>
SLUICE_INLINE V16f LoadKv16(const std::byte* row, int64_t i) {
  if constexpr (kFormat == KvFormat::kF32) {
    return LoadV(reinterpret_cast<const float*>(row) + i);
  } else if constexpr (kFormat == KvFormat::kF16) {
    return Isa::F16x16(row + 2 * i);
  } else if constexpr (kFormat == KvFormat::kBF16) {
    return Isa::BF16x16(row + 2 * i);
  } else {
    const std::byte* block = row + i / 32 * 34;
    uint16_t scale;
    std::memcpy(&scale, block, sizeof(scale));
    return Isa::S8x16(block + 2 + i % 32) * F16ToF32(scale);
  }
}

// Keys are taken 64 at a time, from position 0: the order of every sum depends on the position
// alone. Running maximum and sum as in online softmax (Milakov and Gimelshein, 2018).
template <KvFormat kFormat>
void AttendHeads(const KvLayout& layout, const KvPlace& place, int64_t kv_head, const float* q,
                 int64_t group, float scale, float* scratch, float* out) {
  constexpr int64_t kBlock = 64;
  const int64_t dim = layout.head_dim;
  const int64_t row_bytes = KvRowBytes(kFormat, dim);
  float* scores = scratch;                  // [group, 64]
  float* maxima = scores + group * kBlock;  // [group]
  float* totals = maxima + group;           // [group]
  float* sums = totals + group;             // [group, head_dim]
  float* row = sums + group * dim;          // [head_dim]
  for (int64_t g = 0; g < group; ++g) {
    maxima[g] = -__builtin_inff();
    totals[g] = 0;
  }
  for (int64_t i = 0; i < group * dim; ++i) sums[i] = 0;

  for (int64_t first = 0; first <= place.position; first += kBlock) {
    const int64_t left = place.position + 1 - first;
    const int64_t keys = left < kBlock ? left : kBlock;
    const std::byte* page = place.pages[first / layout.page_tokens];
    const std::byte* key = page + KvRowOffset(layout, KvPart::kKey, kv_head, first);
    const std::byte* value = page + KvRowOffset(layout, KvPart::kValue, kv_head, first);
    for (int64_t k = 0; k < keys; ++k, key += row_bytes) {
      for (int64_t i = 0; i < dim; i += 16) StoreV(row + i, LoadKv16<kFormat>(key, i));
      for (int64_t g = 0; g < group; ++g) {
        V16f dot = {};
        for (int64_t i = 0; i < dim; i += 16) dot += LoadV(q + g * dim + i) * LoadV(row + i);
        scores[g * kBlock + k] = SumLanes(dot) * scale;
      }
    }
    for (int64_t g = 0; g < group; ++g) {
      float* s = scores + g * kBlock;
      float largest = maxima[g];
      for (int64_t k = 0; k < keys; ++k) largest = s[k] > largest ? s[k] : largest;
      const float shrink = Exp(maxima[g] - largest);
      maxima[g] = largest;
      for (int64_t k = keys; k < kBlock; ++k) s[k] = -__builtin_inff();
      for (int64_t k = 0; k < kBlock; k += 16) StoreV(s + k, ExpV(LoadV(s + k) - largest));
      float total = 0;
      for (int64_t k = 0; k < keys; ++k) total += s[k];
      totals[g] = totals[g] * shrink + total;
      for (int64_t i = 0; i < dim; i += 16) {
        StoreV(sums + g * dim + i, LoadV(sums + g * dim + i) * shrink);
      }
    }
    for (int64_t k = 0; k < keys; ++k, value += row_bytes) {
      for (int64_t i = 0; i < dim; i += 16) StoreV(row + i, LoadKv16<kFormat>(value, i));
      for (int64_t g = 0; g < group; ++g) {
        const float weight = scores[g * kBlock + k];
        float* sum = sums + g * dim;
        for (int64_t i = 0; i < dim; i += 16) {
          StoreV(sum + i, LoadV(sum + i) + LoadV(row + i) * weight);
        }
      }
    }
  }
  for (int64_t g = 0; g < group; ++g) {
    const float inverse = 1.0F / totals[g];
    for (int64_t i = 0; i < dim; i += 16) {
      StoreV(out + g * dim + i, LoadV(sums + g * dim + i) * inverse);
    }
  }
}

void AttendAny(const KvLayout& layout, const KvPlace& place, int64_t kv_head, const float* q,
               int64_t group, float scale, float* scratch, float* out) {
  switch (layout.format) {
    case KvFormat::kF32:
      return AttendHeads<KvFormat::kF32>(layout, place, kv_head, q, group, scale, scratch, out);
    case KvFormat::kF16:
      return AttendHeads<KvFormat::kF16>(layout, place, kv_head, q, group, scale, scratch, out);
    case KvFormat::kBF16:
      return AttendHeads<KvFormat::kBF16>(layout, place, kv_head, q, group, scale, scratch, out);
    case KvFormat::kQ8_0:
      return AttendHeads<KvFormat::kQ8_0>(layout, place, kv_head, q, group, scale, scratch, out);
  }
}

constexpr Kernels kKernels = {.name = Isa::kName,
                              .tile_q8 = FindTileQ8,
                              .tile_f32 = FindTileF32,
                              .quantize_q8 = QuantizeRow,
                              .rms_norm = RmsNormRow,
                              .silu_multiply = SiluMultiply,
                              .add_scaled = AddScaled,
                              .attend = AttendAny};
