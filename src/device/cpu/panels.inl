// Panels (panel.h): unpacking of groups, and products of columns. Behind kernels.inl, for
// instruction sets whose DotU8 takes all unsigned bytes.

template <class Reader>
void UnpackPanel(const std::byte* group, int64_t cols, int bias, std::byte* panel) {
  constexpr int64_t kBytes = PanelBlockBytes(Reader::kRule);
  const int offset = (Reader::kSigned ? 0 : Reader::kOffset) - bias;
  const Isa::I offsets = Isa::Set1(static_cast<int32_t>((offset & 0xFF) * 0x01010101U));
  for (int half = 0; half < 16; half += Isa::kLanes) {
    Reader::ForEach(group, cols, half, [&](int64_t block, const auto& view) SLUICE_INLINE_LAMBDA {
      std::byte* at = panel + block * kBytes + half * 4;
      Unrolled<8>([&]<int k>() SLUICE_INLINE_LAMBDA {
        constexpr int i = k % 2 * 4 + k / 2;
        Isa::Store(at + i * 64, Isa::SubBytes(view.template Line<i>(), offsets));
      });
      for (int i = 0; i < RuleNumbers(Reader::kRule); ++i) {
        Isa::StoreF(reinterpret_cast<float*>(at + (8 + i) * 64), view.numbers[i]);
      }
    });
  }
}

PanelKernels::Unpack FindUnpack(Format format) {
  return WithReader(format, []<class Reader>() -> PanelKernels::Unpack {
    if constexpr (std::is_void_v<Reader>)
      return nullptr;
    else
      return UnpackPanel<Reader>;
  });
}
BlockRule RuleOf(Format format) {
  return WithReader(format, []<class Reader>() {
    if constexpr (std::is_void_v<Reader>)
      return BlockRule::kScale;
    else
      return Reader::kRule;
  });
}

template <BlockRule kRule, int C>
SLUICE_INLINE void MultiplyColumns(const std::byte* panel, const ColumnBlock* columns, int64_t cols,
                                   int first, float* const* out) {
  constexpr bool kByHalves = ByHalves(kRule);
  typename Isa::F sums[C];
  Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { sums[c] = Isa::Zero(); });
  for (int64_t b = 0; b < cols / 32; ++b, panel += PanelBlockBytes(kRule)) {
    const ColumnBlock& x = columns[b];
    typename Isa::I dots[C][2];
    Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
      dots[c][0] = Isa::Set1((kByHalves ? x.bias16[0] : x.bias)[first + c]);
      if constexpr (kByHalves) dots[c][1] = Isa::Set1(x.bias16[1][first + c]);
    });
    Unrolled<8>([&]<int i>() SLUICE_INLINE_LAMBDA {
      const Isa::I line = Isa::Load(panel + i * 64);
      Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
        Isa::I& dot = dots[c][kByHalves ? i / 4 : 0];
        dot = Isa::DotU8(dot, line, Isa::Set1(LoadDword(x.q[first + c] + 4 * i)));
      });
    });
    typename Isa::F numbers[RuleNumbers(kRule)];
    Unrolled<RuleNumbers(kRule)>(
        [&]<int i>() SLUICE_INLINE_LAMBDA { numbers[i] = Isa::LoadF(panel + (8 + i) * 64); });
    Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
      sums[c] = AddBlock<kRule>(dots[c], numbers, NumbersOf(x, first + c), sums[c]);
    });
  }
  Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { Isa::StoreF(out[first + c], sums[c]); });
}

template <BlockRule kRule>
void MultiplyPanel(const std::byte* panel, const ColumnBlock* columns, int64_t cols, int count,
                   float* const* out) {
  int first = 0;
  for (; first + 8 <= count; first += 8) {
    MultiplyColumns<kRule, 8>(panel, columns, cols, first, out);
  }
  if (first + 4 <= count) {
    MultiplyColumns<kRule, 4>(panel, columns, cols, first, out);
    first += 4;
  }
  for (; first < count; ++first) MultiplyColumns<kRule, 1>(panel, columns, cols, first, out);
}

PanelKernels::Multiply FindMultiply(BlockRule rule) {
  switch (rule) {
    case BlockRule::kScale:
      return MultiplyPanel<BlockRule::kScale>;
    case BlockRule::kScaleMin:
      return MultiplyPanel<BlockRule::kScaleMin>;
    case BlockRule::kHalves:
      return MultiplyPanel<BlockRule::kHalves>;
    case BlockRule::kHalvesMin:
      return MultiplyPanel<BlockRule::kHalvesMin>;
  }
  return nullptr;
}

constexpr PanelKernels kPanels = {
    .from = 40, .bias = 128, .unpack = FindUnpack, .rule = RuleOf, .multiply = FindMultiply};
