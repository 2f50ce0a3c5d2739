// Tiles of the formats whose blocks are single numbers: part of kernels.inl.

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

struct TileF32 {
  static constexpr int kColumns = 8;
  template <int C>
  static void Run(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
    TileFloat<C, 4, Isa::LoadF>(group, cols, x, out);
  }
};
struct TileF16 {
  static constexpr int kColumns = 8;
  template <int C>
  static void Run(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
    TileFloat<C, 2, Isa::LoadF16>(group, cols, x, out);
  }
};
struct TileBF16 {
  static constexpr int kColumns = 8;
  template <int C>
  static void Run(const std::byte* group, int64_t cols, const float* const* x, float* const* out) {
    TileFloat<C, 2, Isa::LoadBF16>(group, cols, x, out);
  }
};

template <class Tile>
void AnyFloat(const std::byte* group, int64_t cols, const float* const* x, int columns,
              float* const* out) {
  CutColumns<Tile>(group, cols, x, columns, out);
}
