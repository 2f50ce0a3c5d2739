// Products of a packed group with a few columns, whatever the format: part of kernels.inl.

// dots + the products of a line of weights with the same four numbers of a column.
template <class Reader>
SLUICE_INLINE Isa::I DotLine(Isa::I dots, Isa::I line, const int8_t* q) {
  const Isa::I four = Isa::Set1(LoadDword(q));
  if constexpr (Reader::kSigned) return Isa::DotBiased(dots, line, four);
  return Isa::DotU8(dots, line, four);
}

template <class Reader, int C>
void TileQ8(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
  constexpr bool kByHalves = ByHalves(Reader::kRule);
  constexpr int kOffset = Reader::kSigned ? Isa::kSignedBias : Reader::kOffset;
  for (int half = 0; half < 16; half += Isa::kLanes) {
    typename Isa::F sums[C];
    Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { sums[c] = Isa::Zero(); });
    Reader::ForEach(group, cols, half, [&](int64_t block, const auto& view) SLUICE_INLINE_LAMBDA {
      typename Isa::I dots[C][2];
      Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
        if constexpr (kByHalves) {
          dots[c][0] = Isa::Set1(-kOffset * x[c].sum16[block * 2]);
          dots[c][1] = Isa::Set1(-kOffset * x[c].sum16[block * 2 + 1]);
        } else {
          dots[c][0] = Isa::Set1(-kOffset * x[c].sum[block]);
        }
      });
      // Lines that share bytes follow each other: 0, 4, 1, 5, ...
      Unrolled<8>([&]<int k>() SLUICE_INLINE_LAMBDA {
        constexpr int i = k % 2 * 4 + k / 2;
        Isa::I line = view.template Line<i>();
        if constexpr (Reader::kSigned) line = Isa::Biased(line);
        Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
          Isa::I& dot = dots[c][kByHalves ? i / 4 : 0];
          dot = DotLine<Reader>(dot, line, x[c].q + block * 32 + 4 * i);
        });
      });
      Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
        sums[c] = AddBlock<Reader::kRule>(dots[c], view.numbers, NumbersOf(x[c], block), sums[c]);
      });
    });
    Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { Isa::StoreF(out[c] + half, sums[c]); });
  }
}

// Any number of columns from a few compiled ones. Every tile gives a column the same bits whatever
// its neighbours: how columns are cut into calls changes nothing but speed.
template <typename Tile, typename Row>
SLUICE_INLINE void CutColumns(const std::byte* group, int64_t cols, Row x, int columns,
                              float* const* out) {
  constexpr int kMost = Tile::kColumns;
  for (; columns >= kMost; columns -= kMost, x += kMost, out += kMost) {
    Tile::template Run<kMost>(group, cols, x, out);
  }
  Unrolled<kMost - 1>([&]<int c>() SLUICE_INLINE_LAMBDA {
    if (columns == c + 1) Tile::template Run<c + 1>(group, cols, x, out);
  });
}

template <class Reader>
struct Q8Tile {
  static constexpr int kColumns = Isa::kTileColumns;
  template <int C>
  static void Run(const std::byte* group, int64_t cols, const Q8Row* x, float* const* out) {
    TileQ8<Reader, C>(group, cols, x, out);
  }
};
template <class Reader>
void AnyQ8(const std::byte* group, int64_t cols, const Q8Row* x, int columns, float* const* out) {
  CutColumns<Q8Tile<Reader>>(group, cols, x, columns, out);
}
