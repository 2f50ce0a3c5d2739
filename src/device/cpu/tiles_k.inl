// Tiles of the formats with blocks of 256: part of kernels.inl.

// ---- Q4_K: [d | dmin][3 lines of 6-bit scales and mins][32 lines of nibbles] --------------------
// ---- Q5_K: [d | dmin][3 lines][8 lines of fifth bits][32 lines of nibbles] ----------------------

template <int C>
SLUICE_INLINE void AddSubBlockQ4_K(const typename Isa::I* dots, Isa::F scale, Isa::F min,
                                   const Q8Row* x, int64_t block, Isa::F* sums) {
  for (int c = 0; c < C; ++c) {
    const Isa::F product = Isa::Mul(scale, Isa::Set1F(x[c].scale[block]));
    sums[c] = Isa::Fma(Isa::ToFloat(dots[c]), product, sums[c]);
    sums[c] = Isa::NegFma(min, Isa::Set1F(x[c].scaled_sum[block]), sums[c]);
  }
}

template <int C, int kBits>
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
  const std::byte* fifths = lines;
  if constexpr (kBits == 5) lines += 8 * 64;
  const Isa::I byte = Isa::Set1(0xFF);
  [[maybe_unused]] const Isa::I fifth = Isa::Set1(0x10101010);
  for (int pair = 0; pair < 4; ++pair) {
    typename Isa::I low_dots[C];
    typename Isa::I high_dots[C];
    for (int c = 0; c < C; ++c) low_dots[c] = high_dots[c] = Isa::Set1(0);
    for (int i = 0; i < 8; ++i) {
      Prefetch(lines + i * 64);
      const Isa::I line = Isa::Load(lines + i * 64);
      Isa::I low = Isa::LowNibbles(line);
      Isa::I high = Isa::HighNibbles(line);
      if constexpr (kBits == 5) {
        const Isa::I bits = Isa::ShiftRightBy(Isa::Load(fifths + i * 64), 2 * pair);
        low = Isa::Or(low, Isa::And(Isa::template ShiftLeft<4>(bits), fifth));
        high = Isa::Or(high, Isa::And(Isa::template ShiftLeft<3>(bits), fifth));
      }
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
      AddSubBlockQ4_K<C>(
          odd == 0 ? low_dots : high_dots, Isa::Mul(d, Isa::ToFloat(Isa::And(scale, byte))),
          Isa::Mul(dmin, Isa::ToFloat(Isa::And(min, byte))), x, first + 2 * pair + odd, sums);
      scale = Isa::template ShiftRight<8>(scale);
      min = Isa::template ShiftRight<8>(min);
    }
  }
}

template <int C, int kBits>
SLUICE_INLINE void TileQ4_5K(const std::byte* group, int64_t cols, const Q8Row* x,
                             float* const* out) {
  constexpr int64_t kBytes = (kBits == 5 ? 44 : 36) * 64;
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    for (int64_t block = 0; block < cols / 256; ++block) {
      SuperBlockQ4_K<C, kBits>(group + block * kBytes, half, x, block * 8, sums);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

template <int C>
void TileQ4_K(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileQ4_5K<C, 4>(group, cols, x, out);
}
template <int C>
void TileQ5_K(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileQ4_5K<C, 5>(group, cols, x, out);
}

// ---- IQ4_XS: [d | scales_h][1 line of scales_l][32 lines of nibbles] ----------------------------

template <int C>
void TileIQ4_XS(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  constexpr int64_t kBytes = 34 * 64;
  const Isa::I table = Isa::Biased(Isa::Table(IQ4_NL::kTable));
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 256; ++block, at += kBytes) {
      const Isa::F d = Isa::LoadF16(at + half * 2);
      Isa::I high = Isa::LoadU16(at + 32 + half * 2);
      const std::byte* lines = at + 64 + half * 4;
      Isa::I low = Isa::Load(lines);
      lines += 64;
      for (int j = 0; j < 8; ++j, lines += 4 * 64) {
        const int64_t part = block * 8 + j;
        typename Isa::I dots[C];
        for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-Isa::kSignedBias * x[c].sum[part]);
        AddLookedUp<C>(lines, table, x, part, dots);
        const Isa::I scale = Isa::Or(Isa::And(low, Isa::Set1(15)),
                                     Isa::template ShiftLeft<4>(Isa::And(high, Isa::Set1(3))));
        const Isa::F signed_scale = Isa::ToFloat(Isa::Sub(scale, Isa::Set1(32)));
        AddScaled32<C>(dots, Isa::Mul(d, signed_scale), x, part, sums);
        low = Isa::template ShiftRight<4>(low);
        high = Isa::template ShiftRight<2>(high);
      }
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

// ---- Q2_K: [d | dmin][4 lines of scales][16 lines of pairs of bits] -----------------------------

template <int C>
SLUICE_INLINE void SuperBlockQ2_K(const std::byte* at, int half, const Q8Row* x, int64_t first,
                                  Isa::F* sums) {
  const Isa::F d = Isa::LoadF16(at + half * 2);
  const Isa::F dmin = Isa::LoadF16(at + 32 + half * 2);
  const std::byte* lines = at + 64 + half * 4;
  for (int i = 0; i < 21; ++i) Prefetch(at + i * 64);
  const Isa::I nibble = Isa::Set1(15);
  for (int j = 0; j < 8; ++j) {
    const std::byte* q = lines + (4 + j / 4 * 8) * 64;
    // The two bytes of this 32: scales in their low, minima in their high nibbles.
    const Isa::I bytes = Isa::ShiftRightBy(Isa::Load(lines + j / 2 * 64), j % 2 * 16);
    typename Isa::F dots[C];
    typename Isa::F mins[C];
    for (int c = 0; c < C; ++c) dots[c] = mins[c] = Isa::Zero();
    for (int h = 0; h < 2; ++h) {
      typename Isa::I parts[C];
      for (int c = 0; c < C; ++c) parts[c] = Isa::Set1(0);
      for (int i = 4 * h; i < 4 * h + 4; ++i) {
        const Isa::I bits =
            Isa::And(Isa::ShiftRightBy(Isa::Load(q + i * 64), j % 4 * 2), Isa::Set1(0x03030303));
        for (int c = 0; c < C; ++c) {
          const int8_t* in = x[c].q + (first + j) * 32 + 4 * i;
          parts[c] = Isa::DotU8(parts[c], bits, Isa::Set1(LoadDword(in)));
        }
      }
      const Isa::I byte = Isa::ShiftRightBy(bytes, 8 * h);
      const Isa::F scale = Isa::ToFloat(Isa::And(byte, nibble));
      const Isa::F min = Isa::ToFloat(Isa::And(Isa::template ShiftRight<4>(byte), nibble));
      // All of these are integers below 2^24: floats hold them exactly.
      for (int c = 0; c < C; ++c) {
        const Isa::F sum = Isa::ToFloat(Isa::Set1(x[c].sum16[(first + j) * 2 + h]));
        const Isa::F part = Isa::ToFloat(parts[c]);
        dots[c] = Isa::Fma(part, scale, dots[c]);
        mins[c] = Isa::Fma(sum, min, mins[c]);
      }
    }
    for (int c = 0; c < C; ++c) {
      const Isa::F x_scale = Isa::Set1F(x[c].scale[first + j]);
      sums[c] = Isa::Fma(dots[c], Isa::Mul(d, x_scale), sums[c]);
      sums[c] = Isa::NegFma(Isa::Mul(dmin, x_scale), mins[c], sums[c]);
    }
  }
}

template <int C>
void TileQ2_K(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  constexpr int64_t kBytes = 21 * 64;
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    for (int64_t block = 0; block < cols / 256; ++block) {
      SuperBlockQ2_K<C>(group + block * kBytes, half, x, block * 8, sums);
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
