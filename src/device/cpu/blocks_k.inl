// How the formats with blocks of 256 are read from packed groups, as blocks of 32: part of
// kernels.inl; blocks_32.inl says what a reader has.

// Byte kByte of every lane, zero-extended.
template <int kByte>
SLUICE_INLINE Isa::I UnsignedByte(Isa::I v) {
  return Isa::And(Isa::template ShiftRight<8 * kByte>(v), Isa::Set1(0xFF));
}

// [d x2 blocks][lines][lines], or one block at the end: calls Reader::SuperBlock for each.
template <class Reader, int kLines, typename Body>
SLUICE_INLINE void ForSuperBlocks(const std::byte* group, int64_t cols, int half,
                                  const Body& body) {
  constexpr int64_t kLineBytes = kLines * 64;
  const std::byte* at = group;
  const int64_t blocks = cols / 256;
  int64_t block = 0;
  for (; block + 2 <= blocks; block += 2, at += 64 + 2 * kLineBytes) {
    const std::byte* lines = at + 64 + half * 4;
    Reader::SuperBlock(lines, Isa::LoadF16(at + half * 2), block * 8, body);
    Reader::SuperBlock(lines + kLineBytes, Isa::LoadF16(at + 32 + half * 2), block * 8 + 8, body);
  }
  if (block < blocks) {
    Reader::SuperBlock(at + 32 + half * 4, Isa::LoadF16(at + half * 2), block * 8, body);
  }
}

// ---- Q4_K: [d | dmin][3 lines of 6-bit scales and mins][32 lines of nibbles] --------------------
// ---- Q5_K: [d | dmin][3 lines][8 lines of fifth bits][32 lines of nibbles] ----------------------

template <int kBits>
struct ReaderQ4_5K {
  static constexpr BlockRule kRule = BlockRule::kScaleMin;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 0;

  // Block 2p has the low, block 2p + 1 the high nibbles of eight lines.
  template <int kBlock>
  struct View {
    const std::byte* nibbles;
    const std::byte* fifths;
    typename Isa::F numbers[2];
    template <int i>
    SLUICE_INLINE Isa::I Line() const {
      if constexpr (kBlock % 2 == 0) Prefetch(nibbles + i * 64);
      const Isa::I line = Isa::Load(nibbles + i * 64);
      const Isa::I low = kBlock % 2 == 0 ? Isa::LowNibbles(line) : Isa::HighNibbles(line);
      if constexpr (kBits == 4) return low;
      // Bit kBlock of every byte, where bit 4 is.
      const Isa::I bits = Isa::Load(fifths + i * 64);
      const Isa::I placed = kBlock < 4
                                ? Isa::template ShiftLeft < kBlock < 4 ? 4 - kBlock : 0 > (bits)
                            : Isa::template ShiftRight < kBlock < 4 ? 0
                                                                    : kBlock - 4 > (bits);
      return Isa::Or(low, Isa::And(placed, Isa::Set1(0x10101010)));
    }
  };

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    constexpr int64_t kBytes = (kBits == 5 ? 44 : 36) * 64;
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 256; ++block, at += kBytes) {
      const Isa::F d = Isa::LoadF16(at + half * 2);
      const Isa::F dmin = Isa::LoadF16(at + 32 + half * 2);
      const std::byte* lines = at + 64 + half * 4;
      for (int i = 0; i < 4; ++i) Prefetch(at + i * 64);
      const Isa::I s0 = Isa::Load(lines);
      const Isa::I s1 = Isa::Load(lines + 64);
      const Isa::I s2 = Isa::Load(lines + 128);
      const Isa::I m6 = Isa::Set1(0x3F3F3F3F);
      const Isa::I m4 = Isa::Set1(0x0F0F0F0F);
      const Isa::I top = Isa::Set1(0x30303030);
      // Byte j of scales[0], mins[0] belongs to block j, of scales[1], mins[1] to block 4 + j.
      const Isa::I scales[2] = {
          Isa::And(s0, m6),
          Isa::Or(Isa::And(s2, m4), Isa::And(Isa::template ShiftRight<2>(s0), top))};
      const Isa::I mins[2] = {Isa::And(s1, m6),
                              Isa::Or(Isa::And(Isa::template ShiftRight<4>(s2), m4),
                                      Isa::And(Isa::template ShiftRight<2>(s1), top))};
      const std::byte* fifths = lines + 3 * 64;
      const std::byte* nibbles = fifths + (kBits == 5 ? 8 * 64 : 0);
      Unrolled<8>([&]<int j>() SLUICE_INLINE_LAMBDA {
        if constexpr (kBits == 5) Prefetch(fifths + j * 64);
        const Isa::F scale = Isa::Mul(d, Isa::ToFloat(UnsignedByte<j % 4>(scales[j / 4])));
        const Isa::F min = Isa::Mul(dmin, Isa::ToFloat(UnsignedByte<j % 4>(mins[j / 4])));
        body(block * 8 + j, View<j>{nibbles + j / 2 * 8 * 64, fifths, {scale, Isa::Negate(min)}});
      });
    }
  }
};
using ReaderQ4_K = ReaderQ4_5K<4>;
using ReaderQ5_K = ReaderQ4_5K<5>;

// ---- IQ4_XS: [d | scales_h][1 line of scales_l][32 lines of nibbles] ----------------------------

struct ReaderIQ4_XS {
  static constexpr BlockRule kRule = BlockRule::kScale;
  static constexpr bool kSigned = true;
  static constexpr int kOffset = kSignedBytes;

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    constexpr int64_t kBytes = 34 * 64;
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 256; ++block, at += kBytes) {
      Prefetch(at);
      const Isa::F d = Isa::LoadF16(at + half * 2);
      Isa::I high = Isa::LoadU16(at + 32 + half * 2);
      const std::byte* lines = at + 64 + half * 4;
      Isa::I low = Isa::Load(lines);
      lines += 64;
      for (int j = 0; j < 8; ++j, lines += 4 * 64) {
        const Isa::I scale = Isa::Or(Isa::And(low, Isa::Set1(15)),
                                     Isa::template ShiftLeft<4>(Isa::And(high, Isa::Set1(3))));
        const Isa::F signed_scale = Isa::ToFloat(Isa::Sub(scale, Isa::Set1(32)));
        body(block * 8 + j,
             BlockView<LookedUpBytes<IQ4_NL::kTable>, 1>{lines, {Isa::Mul(d, signed_scale)}});
        low = Isa::template ShiftRight<4>(low);
        high = Isa::template ShiftRight<2>(high);
      }
    }
  }
};

// ---- Q2_K: [d | dmin][4 lines of scales][16 lines of pairs of bits] -----------------------------

struct ReaderQ2_K {
  static constexpr BlockRule kRule = BlockRule::kHalvesMin;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 0;

  template <int kBlock>
  struct View {
    const std::byte* lines;  // eight, for four blocks
    typename Isa::F numbers[6];
    template <int i>
    SLUICE_INLINE Isa::I Line() const {
      if constexpr (kBlock % 4 == 0) Prefetch(lines + i * 64);
      return Isa::And(Isa::template ShiftRight<kBlock % 4 * 2>(Isa::Load(lines + i * 64)),
                      Isa::Set1(0x03030303));
    }
  };

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 256; ++block, at += 21 * 64) {
      const Isa::F d = Isa::LoadF16(at + half * 2);
      const Isa::F dmin = Isa::Negate(Isa::LoadF16(at + 32 + half * 2));
      const std::byte* lines = at + 64 + half * 4;
      for (int i = 0; i < 5; ++i) Prefetch(at + i * 64);
      Unrolled<8>([&]<int j>() SLUICE_INLINE_LAMBDA {
        // The two bytes of this block: scales in their low, minima in their high nibbles.
        const Isa::I bytes = Isa::Load(lines + j / 2 * 64);
        const Isa::I byte0 = UnsignedByte<j % 2 * 2>(bytes);
        const Isa::I byte1 = UnsignedByte<j % 2 * 2 + 1>(bytes);
        const Isa::I nibble = Isa::Set1(15);
        body(block * 8 + j, View<j>{lines + (4 + j / 4 * 8) * 64,
                                    {d, Isa::ToFloat(Isa::And(byte0, nibble)),
                                     Isa::ToFloat(Isa::And(byte1, nibble)), dmin,
                                     Isa::ToFloat(Isa::template ShiftRight<4>(byte0)),
                                     Isa::ToFloat(Isa::template ShiftRight<4>(byte1))}});
      });
    }
  }
};

// ---- Q3_K: [d x2 blocks][27 lines][27 lines]: 8 of upper bits, 16 of pairs of bits, 3 of scales -

struct ReaderQ3_K {
  static constexpr BlockRule kRule = BlockRule::kHalves;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 4;

  template <int kBlock>
  struct View {
    const std::byte* upper;
    const std::byte* pairs;  // eight lines, for four blocks
    typename Isa::F numbers[3];
    template <int i>
    SLUICE_INLINE Isa::I Line() const {
      if constexpr (kBlock % 4 == 0) Prefetch<27 * 64>(pairs + i * 64);
      const Isa::I low =
          Isa::And(Isa::template ShiftRight<kBlock % 4 * 2>(Isa::Load(pairs + i * 64)),
                   Isa::Set1(0x03030303));
      // Bit kBlock of every byte, where bit 2 is.
      const Isa::I bits = Isa::Load(upper + i * 64);
      const Isa::I placed = kBlock < 2
                                ? Isa::template ShiftLeft < kBlock < 2 ? 2 - kBlock : 0 > (bits)
                            : Isa::template ShiftRight < kBlock < 2 ? 0
                                                                    : kBlock - 2 > (bits);
      return Isa::Or(low, Isa::And(placed, Isa::Set1(0x04040404)));
    }
  };

  template <typename Body>
  static SLUICE_INLINE void SuperBlock(const std::byte* lines, Isa::F d, int64_t first,
                                       const Body& body) {
    const std::byte* scale_lines = lines + 24 * 64;
    for (int i = 0; i < 3; ++i) Prefetch<27 * 64>(scale_lines + i * 64);
    const Isa::I low[2] = {Isa::Load(scale_lines), Isa::Load(scale_lines + 64)};
    const Isa::I high = Isa::Load(scale_lines + 128);
    Unrolled<8>([&]<int j>() SLUICE_INLINE_LAMBDA {
      Prefetch<27 * 64>(lines + j * 64);
      // Scales 4m .. 4m + 3 are the bytes of a dword.
      constexpr int m = j / 2;
      const Isa::I nibbles = m < 2 ? Isa::LowNibbles(low[m % 2]) : Isa::HighNibbles(low[m % 2]);
      const Isa::I upper = Isa::And(Isa::template ShiftRight<2 * m>(high), Isa::Set1(0x03030303));
      const Isa::I scales = Isa::Or(nibbles, Isa::template ShiftLeft<4>(upper));
      const Isa::I bias = Isa::Set1(32);
      body(first + j, View<j>{lines,
                              lines + (8 + j / 4 * 8) * 64,
                              {d, Isa::ToFloat(Isa::Sub(UnsignedByte<j % 2 * 2>(scales), bias)),
                               Isa::ToFloat(Isa::Sub(UnsignedByte<j % 2 * 2 + 1>(scales), bias))}});
    });
  }

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    ForSuperBlocks<ReaderQ3_K, 27>(group, cols, half, body);
  }
};

// ---- Q6_K: [d x2 blocks][52 lines][52 lines]: 32 of ql, 16 of qh, 4 of scales -------------------

struct ReaderQ6_K {
  static constexpr BlockRule kRule = BlockRule::kHalves;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 32;

  template <int kBlock>
  struct View {
    const std::byte* ql;  // of a half of 128: 16 lines of ql, 8 of qh
    const std::byte* qh;
    typename Isa::F numbers[3];
    template <int i>
    SLUICE_INLINE Isa::I Line() const {
      constexpr int kPart = kBlock % 4;
      if constexpr (kPart < 2) Prefetch<52 * 64>(ql + (kPart * 8 + i) * 64);
      if constexpr (kPart == 2) Prefetch<52 * 64>(qh + i * 64);
      const Isa::I line = Isa::Load(ql + (kPart % 2 * 8 + i) * 64);
      const Isa::I low = kPart < 2 ? Isa::LowNibbles(line) : Isa::HighNibbles(line);
      const Isa::I bits = Isa::Load(qh + i * 64);
      const Isa::I placed = kPart < 2
                                ? Isa::template ShiftLeft < kPart < 2 ? 4 - 2 * kPart : 0 > (bits)
                            : Isa::template ShiftRight < kPart < 2 ? 0
                                                                   : 2 * kPart - 4 > (bits);
      return Isa::Or(low, Isa::And(placed, Isa::Set1(0x30303030)));
    }
  };

  template <typename Body>
  static SLUICE_INLINE void SuperBlock(const std::byte* lines, Isa::F d, int64_t first,
                                       const Body& body) {
    for (int i = 48; i < 52; ++i) Prefetch<52 * 64>(lines + i * 64);
    Unrolled<8>([&]<int j>() SLUICE_INLINE_LAMBDA {
      const Isa::I scales = Isa::Load(lines + (48 + j / 2) * 64);
      body(first + j, View<j>{lines + j / 4 * 16 * 64,
                              lines + (32 + j / 4 * 8) * 64,
                              {d, Isa::ToFloat(Isa::template SignedByte<j % 2 * 2>(scales)),
                               Isa::ToFloat(Isa::template SignedByte<j % 2 * 2 + 1>(scales))}});
    });
  }

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    ForSuperBlocks<ReaderQ6_K, 52>(group, cols, half, body);
  }
};
