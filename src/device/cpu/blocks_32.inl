// How the formats with blocks of 32 are read from packed groups: part of kernels.inl.
//
// A reader has
//   kRule                which numbers it has and what they mean (block_rules.h)
//   kOffset              what its bytes are too large by; kSigned: they are signed bytes instead
//   ForEach(group, cols, half, body)
//                        calls body(block, view) for each block of 32, in ascending order, for the
//                        kLanes rows from `half` on; of a view,
//     Line<i>()          is elements 4i .. 4i + 3 of the rows, i = 0 .. 7
//     numbers            are those of the rule

struct NibbleBytes {  // line i: elements 4i.. in its low, 16 + 4i.. in its high nibbles
  static constexpr int kLines = 4;
  template <int i>
  static SLUICE_INLINE Isa::I Line(const std::byte* lines) {
    if constexpr (i < 4) Prefetch(lines + i * 64);
    const Isa::I line = Isa::Load(lines + i % 4 * 64);
    return i < 4 ? Isa::LowNibbles(line) : Isa::HighNibbles(line);
  }
};

struct FiveBitBytes {  // the same behind a line of upper bits: bit j belongs to element j
  static constexpr int kLines = 5;
  template <int i>
  static SLUICE_INLINE Isa::I Line(const std::byte* lines) {
    return Isa::Or(NibbleBytes::Line<i>(lines + 64),
                   Isa::template SpreadBits<4 * i>(Isa::Load(lines)));
  }
};

template <const int8_t* kTable>
struct LookedUpBytes {  // nibbles that are indices of a table
  static constexpr int kLines = 4;
  template <int i>
  static SLUICE_INLINE Isa::I Line(const std::byte* lines) {
    return Isa::LookUp(Isa::Table(kTable), NibbleBytes::Line<i>(lines));
  }
};

struct WholeBytes {
  static constexpr int kLines = 8;
  template <int i>
  static SLUICE_INLINE Isa::I Line(const std::byte* lines) {
    Prefetch(lines + i * 64);
    return Isa::Load(lines + i * 64);
  }
};

template <class Bytes, int kNumbers>
struct BlockView {
  const std::byte* lines;
  typename Isa::F numbers[kNumbers];
  template <int i>
  SLUICE_INLINE Isa::I Line() const {
    return Bytes::template Line<i>(lines);
  }
};

// ---- one f16 scale: [d x2 blocks][lines][lines], or one block at the end ------------------------

template <class Bytes, int kUnsignedBy>
struct ScaledReader {
  static constexpr BlockRule kRule = BlockRule::kScale;
  static constexpr bool kSigned = kUnsignedBy < 0;
  static constexpr int kOffset = kUnsignedBy;

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    constexpr int64_t kLineBytes = Bytes::kLines * 64;
    const std::byte* at = group;
    const int64_t blocks = cols / 32;
    int64_t block = 0;
    for (; block + 2 <= blocks; block += 2, at += 64 + 2 * kLineBytes) {
      Prefetch(at);
      const std::byte* lines = at + 64 + half * 4;
      body(block, BlockView<Bytes, 1>{lines, {Isa::LoadF16(at + half * 2)}});
      body(block + 1, BlockView<Bytes, 1>{lines + kLineBytes, {Isa::LoadF16(at + 32 + half * 2)}});
    }
    if (block < blocks) {
      body(block, BlockView<Bytes, 1>{at + 32 + half * 4, {Isa::LoadF16(at + half * 2)}});
    }
  }
};

constexpr int kSignedBytes = -1;
using ReaderQ8_0 = ScaledReader<WholeBytes, kSignedBytes>;
using ReaderQ4_0 = ScaledReader<NibbleBytes, 8>;
using ReaderQ5_0 = ScaledReader<FiveBitBytes, 16>;
using ReaderIQ4_NL = ScaledReader<LookedUpBytes<IQ4_NL::kTable>, kSignedBytes>;

// ---- an f16 scale and an f16 minimum: [d | m][lines] --------------------------------------------

template <class Bytes>
struct ScaledMinReader {
  static constexpr BlockRule kRule = BlockRule::kScaleMin;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 0;

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    const std::byte* at = group;
    for (int64_t block = 0; block < cols / 32; ++block, at += 64 + Bytes::kLines * 64) {
      Prefetch(at);
      body(block,
           BlockView<Bytes, 2>{at + 64 + half * 4,
                               {Isa::LoadF16(at + half * 2), Isa::LoadF16(at + 32 + half * 2)}});
    }
  }
};

using ReaderQ4_1 = ScaledMinReader<NibbleBytes>;
using ReaderQ5_1 = ScaledMinReader<FiveBitBytes>;

// ---- MXFP4: [e x4 blocks][4 x 4 lines], or fewer blocks at the end ------------------------------

struct ReaderMXFP4 {
  static constexpr BlockRule kRule = BlockRule::kScale;
  static constexpr bool kSigned = true;
  static constexpr int kOffset = kSignedBytes;
  using Bytes = LookedUpBytes<MXFP4::kTable>;

  // 2^(e - 128) as a product of two powers that are both normal numbers.
  static SLUICE_INLINE Isa::F Scale(Isa::I e) {
    const Isa::I half = Isa::template ShiftRight<1>(e);
    const Isa::I rest = Isa::Sub(e, half);
    const Isa::I bias = Isa::Set1(127 - 64);
    return Isa::Mul(Isa::AsFloat(Isa::template ShiftLeft<23>(Isa::Add(half, bias))),
                    Isa::AsFloat(Isa::template ShiftLeft<23>(Isa::Add(rest, bias))));
  }

  template <typename Body>
  static SLUICE_INLINE void ForEach(const std::byte* group, int64_t cols, int half,
                                    const Body& body) {
    const std::byte* at = group;
    const int64_t blocks = cols / 32;
    for (int64_t first = 0; first < blocks; first += 4) {
      Prefetch(at);
      const int64_t count = blocks - first < 4 ? blocks - first : 4;
      const std::byte* lines = at + count * 16 + half * 4;
      for (int64_t i = 0; i < count; ++i, lines += 4 * 64) {
        body(first + i, BlockView<Bytes, 1>{lines, {Scale(Isa::LoadU8(at + i * 16 + half))}});
      }
      at += count * (16 + 4 * 64);
    }
  }
};
