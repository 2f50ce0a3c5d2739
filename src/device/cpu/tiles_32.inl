// Tiles of the formats with blocks of 32: part of kernels.inl.

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
