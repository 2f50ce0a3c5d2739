// Panels with AMX: a tile product is up to 16 columns times 16 rows of weights, over a block of 32.
//
// Both operands are signed bytes (tdpbssd). The sums are the same integers as everywhere, so the
// results are the same bits. A process may use tiles once it has asked the kernel for them (Linux,
// Documentation/arch/x86/xstate.rst): AmxPanels asks.
#include "device/cpu/kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics headers start from an undefined vector on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "device/cpu/vec.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((                                                                                \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,amx-tile,amx-int8"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,amx-tile,amx-int8,prefer-vector-width=512")
#endif

namespace sluice {
namespace {

#include "device/cpu/avx512_isa.inl"
#include "device/cpu/block_sum.inl"

// Tiles 0 and 1: sums. Tiles 2 and 3: activations, a row per column. Tiles 4 and 5: weights. Where
// a rule goes by halves, one block takes both of each.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

void Configure(int columns, int lines) {
  // Loading a configuration clears all tiles and takes a while; mostly it is the last one.
  thread_local int loaded = 0;
  if (loaded == columns * 16 + lines) return;
  loaded = columns * 16 + lines;
  TileConfig config;
  for (int tile = 0; tile < 6; ++tile) {
    config.rows[tile] = static_cast<uint8_t>(tile < 4 ? columns : lines);
    config.row_bytes[tile] = static_cast<uint16_t>(tile / 2 == 1 ? lines * 4 : 64);
  }
  asm volatile("" : : "r"(&config) : "memory");  // GCC 12 thinks that only 8 bytes of it are read
  _tile_loadconfig(&config);
}

// Sums of products of one block: of its whole, or of its halves.
struct alignas(64) BlockSums {
  int32_t of[2][kPanelColumns][16];
};

// kOdd: blocks alternate between the tiles, so that one's product runs beside the other's store.
template <BlockRule kRule, bool kOdd>
SLUICE_INLINE void MultiplyBlock(const std::byte* panel, const ColumnBlock& x, BlockSums* sums) {
  if constexpr (ByHalves(kRule)) {
    _tile_zero(0);
    _tile_loadd(2, x.q, 32);
    _tile_loadd(4, panel, 64);
    _tile_dpbssd(0, 2, 4);
    _tile_zero(1);
    _tile_loadd(3, x.q[0] + 16, 32);
    _tile_loadd(5, panel + 4 * 64, 64);
    _tile_dpbssd(1, 3, 5);
    _tile_stored(0, sums->of[0], 64);
    _tile_stored(1, sums->of[1], 64);
  } else if constexpr (kOdd) {
    _tile_zero(1);
    _tile_loadd(3, x.q, 32);
    _tile_loadd(5, panel, 64);
    _tile_dpbssd(1, 3, 5);
    _tile_stored(1, sums->of[0], 64);
  } else {
    _tile_zero(0);
    _tile_loadd(2, x.q, 32);
    _tile_loadd(4, panel, 64);
    _tile_dpbssd(0, 2, 4);
    _tile_stored(0, sums->of[0], 64);
  }
}

template <BlockRule kRule, int C>
SLUICE_INLINE void AddSums(const std::byte* panel, const ColumnBlock& x, const BlockSums& block,
                           Isa::F* sums) {
  typename Isa::F numbers[RuleNumbers(kRule)];
  for (int i = 0; i < RuleNumbers(kRule); ++i) numbers[i] = Isa::LoadF(panel + (8 + i) * 64);
  Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA {
    Isa::I dots[2];
    dots[0] = Isa::Load(reinterpret_cast<const std::byte*>(block.of[0][c]));
    if constexpr (ByHalves(kRule)) {
      dots[1] = Isa::Load(reinterpret_cast<const std::byte*>(block.of[1][c]));
    }
    sums[c] = AddBlock<kRule>(dots, numbers, NumbersOf(x, c), sums[c]);
  });
}

// The tiles run `kAhead` blocks ahead of the sums, which wait for their stores.
template <BlockRule kRule, int C>
void MultiplyColumns(const std::byte* panel, const ColumnBlock* columns, int64_t cols,
                     float* const* out) {
  constexpr int64_t kAhead = 2;
  constexpr int64_t kBytes = PanelBlockBytes(kRule);
  Configure(C, ByHalves(kRule) ? 4 : 8);
  BlockSums ring[4];
  typename Isa::F sums[C];
  Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { sums[c] = Isa::Zero(); });
  const int64_t blocks = cols / 32;
  const auto multiply = [&](int64_t b) SLUICE_INLINE_LAMBDA {
    if (b % 2 == 0) {
      MultiplyBlock<kRule, false>(panel + b * kBytes, columns[b], &ring[b % 4]);
    } else {
      MultiplyBlock<kRule, true>(panel + b * kBytes, columns[b], &ring[b % 4]);
    }
  };
  for (int64_t b = 0; b < blocks && b < kAhead; ++b) multiply(b);
  for (int64_t b = 0; b < blocks; ++b) {
    if (b + kAhead < blocks) multiply(b + kAhead);
    AddSums<kRule, C>(panel + b * kBytes, columns[b], ring[b % 4], sums);
  }
  Unrolled<C>([&]<int c>() SLUICE_INLINE_LAMBDA { Isa::StoreF(out[c], sums[c]); });
}

// Columns are taken by fours: the panel has zeros for those that are missing.
template <BlockRule kRule>
void MultiplyPanel(const std::byte* panel, const ColumnBlock* columns, int64_t cols, int count,
                   float* const* out) {
  float spare[16];
  float* all[kPanelColumns];
  for (int c = 0; c < kPanelColumns; ++c) all[c] = c < count ? out[c] : spare;
  switch ((count + 3) / 4) {
    case 1:
      return MultiplyColumns<kRule, 4>(panel, columns, cols, all);
    case 2:
      return MultiplyColumns<kRule, 8>(panel, columns, cols, all);
    case 3:
      return MultiplyColumns<kRule, 12>(panel, columns, cols, all);
    default:
      return MultiplyColumns<kRule, 16>(panel, columns, cols, all);
  }
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

}  // namespace
}  // namespace sluice

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace sluice {
namespace {

bool MayUseTiles() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmxTile = 1U << 24;
  constexpr unsigned kAmxInt8 = 1U << 25;
  if ((d & kAmxTile) == 0 || (d & kAmxInt8) == 0) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const PanelKernels* AmxPanels() {
  static const PanelKernels* const panels = []() -> const PanelKernels* {
    if (Avx512Panels() == nullptr || !MayUseTiles()) return nullptr;
    static PanelKernels kernels = *Avx512Panels();  // the same unpacking
    kernels.from = 9;
    kernels.bias = 0;
    kernels.multiply = FindMultiply;
    return &kernels;
  }();
  return panels;
}

}  // namespace sluice

#else  // not x86-64 Linux

namespace sluice {
const PanelKernels* AmxPanels() { return nullptr; }
}  // namespace sluice

#endif
