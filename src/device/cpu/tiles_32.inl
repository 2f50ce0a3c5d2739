// Tiles of the formats with blocks of 32: part of kernels.inl.
//
// Adders: dots[c] += the 32 numbers of a block, from its lines, times those of column c.

// Line i holds elements 4i..4i+3 in its low and 16 + 4i.. in its high nibbles.
template <int C>
SLUICE_INLINE void AddNibbles(const std::byte* lines, const Q8Row* x, int64_t block, Isa::I* dots) {
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
}

// The same with upper bits: bit j of the first line's dwords belongs to element j.
template <int C>
SLUICE_INLINE void AddFives(const std::byte* lines, const Q8Row* x, int64_t block, Isa::I* dots) {
  const Isa::I bits = Isa::Load(lines);
  const auto add = [&]<int kLine>() {
    Prefetch(lines + kLine * 64);
    const Isa::I line = Isa::Load(lines + (1 + kLine) * 64);
    const Isa::I low = Isa::Or(Isa::LowNibbles(line), Isa::template SpreadBits<4 * kLine>(bits));
    const Isa::I high =
        Isa::Or(Isa::HighNibbles(line), Isa::template SpreadBits<16 + 4 * kLine>(bits));
    for (int c = 0; c < C; ++c) {
      const int8_t* q = x[c].q + block * 32 + 4 * kLine;
      dots[c] = Isa::DotU8(dots[c], low, Isa::Set1(LoadDword(q)));
      dots[c] = Isa::DotU8(dots[c], high, Isa::Set1(LoadDword(q + 16)));
    }
  };
  add.template operator()<0>();
  add.template operator()<1>();
  add.template operator()<2>();
  add.template operator()<3>();
}

// Nibbles that are indices of a table of signed bytes; needs -kSignedBias * sum(x) added once.
template <int C>
SLUICE_INLINE void AddLookedUp(const std::byte* lines, Isa::I table, const Q8Row* x, int64_t block,
                               Isa::I* dots) {
  for (int i = 0; i < 4; ++i) {
    Prefetch(lines + i * 64);
    const Isa::I line = Isa::Load(lines + i * 64);
    const Isa::I low = Isa::LookUp(table, Isa::LowNibbles(line));
    const Isa::I high = Isa::LookUp(table, Isa::HighNibbles(line));
    for (int c = 0; c < C; ++c) {
      const int8_t* q = x[c].q + block * 32 + 4 * i;
      dots[c] = Isa::DotBiased(dots[c], low, Isa::Set1(LoadDword(q)));
      dots[c] = Isa::DotBiased(dots[c], high, Isa::Set1(LoadDword(q + 16)));
    }
  }
}

// sums[c] += dots[c] * (d * scale of the activations)
template <int C>
SLUICE_INLINE void AddScaled32(const Isa::I* dots, Isa::F d, const Q8Row* x, int64_t block,
                               Isa::F* sums) {
  for (int c = 0; c < C; ++c) {
    sums[c] = Isa::Fma(Isa::ToFloat(dots[c]), Isa::Mul(d, Isa::Set1F(x[c].scale[block])), sums[c]);
  }
}

template <int C>
SLUICE_INLINE void BlockQ4_0(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                             Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-8 * x[c].sum[block]);
  AddNibbles<C>(lines, x, block, dots);
  AddScaled32<C>(dots, d, x, block, sums);
}

template <int C>
SLUICE_INLINE void BlockQ5_0(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                             Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-16 * x[c].sum[block]);
  AddFives<C>(lines, x, block, dots);
  AddScaled32<C>(dots, d, x, block, sums);
}

template <int C, const int8_t* kTable>
SLUICE_INLINE void BlockLookedUp(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                                 Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-Isa::kSignedBias * x[c].sum[block]);
  AddLookedUp<C>(lines, Isa::Biased(Isa::Table(kTable)), x, block, dots);
  AddScaled32<C>(dots, d, x, block, sums);
}

template <int C>
SLUICE_INLINE void BlockQ8_0(const std::byte* lines, Isa::F d, const Q8Row* x, int64_t block,
                             Isa::F* sums) {
  typename Isa::I dots[C];
  for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(-Isa::kSignedBias * x[c].sum[block]);
  for (int i = 0; i < 8; ++i) {
    Prefetch(lines + i * 64);
    const Isa::I line = Isa::Biased(Isa::Load(lines + i * 64));
    for (int c = 0; c < C; ++c) {
      dots[c] = Isa::DotBiased(dots[c], line, Isa::Set1(LoadDword(x[c].q + block * 32 + 4 * i)));
    }
  }
  AddScaled32<C>(dots, d, x, block, sums);
}

// ---- one f16 scale: [d x2 blocks][kLines lines][kLines lines], or one block at the end ----------

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
void TileQ5_0(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaled32<C, 5, BlockQ5_0<C>>(group, cols, x, out);
}
template <int C>
void TileIQ4_NL(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaled32<C, 4, BlockLookedUp<C, IQ4_NL::kTable>>(group, cols, x, out);
}
template <int C>
void TileQ8_0(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaled32<C, 8, BlockQ8_0<C>>(group, cols, x, out);
}

// ---- an f16 scale and an f16 minimum: [d | m][kLines lines] -------------------------------------

template <int C, int kLines, auto kAdd>
SLUICE_INLINE void TileScaledMin32(const std::byte* group, int64_t cols, const Q8Row* x,
                                   float* const* out) {
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 32; ++block, at += 64 + kLines * 64) {
      Prefetch(at);
      typename Isa::I dots[C];
      for (int c = 0; c < C; ++c) dots[c] = Isa::Set1(0);
      kAdd(at + 64 + half * 4, x, block, dots);
      AddScaled32<C>(dots, Isa::LoadF16(at + half * 2), x, block, sums);
      const Isa::F m = Isa::LoadF16(at + 32 + half * 2);
      for (int c = 0; c < C; ++c) {
        sums[c] = Isa::Fma(m, Isa::Set1F(x[c].scaled_sum[block]), sums[c]);
      }
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}

template <int C>
void TileQ4_1(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaledMin32<C, 4, AddNibbles<C>>(group, cols, x, out);
}
template <int C>
void TileQ5_1(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  TileScaledMin32<C, 5, AddFives<C>>(group, cols, x, out);
}

// ---- MXFP4: [e x4 blocks][4 x 4 lines], or fewer blocks at the end
// -------------------------------

// 2^(e - 128) as a product of two powers that are both normal numbers.
SLUICE_INLINE Isa::F ScaleE8M0(Isa::I e) {
  const Isa::I half = Isa::template ShiftRight<1>(e);
  const Isa::I rest = Isa::Sub(e, half);
  const Isa::I bias = Isa::Set1(127 - 64);
  return Isa::Mul(Isa::AsFloat(Isa::template ShiftLeft<23>(Isa::Add(half, bias))),
                  Isa::AsFloat(Isa::template ShiftLeft<23>(Isa::Add(rest, bias))));
}

template <int C>
void TileMXFP4(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = Isa::Zero();
    const std::byte* at = group;
    const int64_t blocks = cols / 32;
    for (int64_t first = 0; first < blocks; first += 4) {
      Prefetch(at);
      const int64_t count = blocks - first < 4 ? blocks - first : 4;
      const std::byte* lines = at + count * 16 + half * 4;
      for (int64_t i = 0; i < count; ++i, lines += 4 * 64) {
        const Isa::F d = ScaleE8M0(Isa::LoadU8(at + i * 16 + half));
        BlockLookedUp<C, MXFP4::kTable>(lines, d, x, first + i, sums);
      }
      at += count * (16 + 4 * 64);
    }
    for (int c = 0; c < C; ++c) Isa::StoreF(out[c] + half, sums[c]);
  }
}
