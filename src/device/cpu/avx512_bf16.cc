// vdpbf16ps: the BF16 tile of machines that have AVX-512 BF16. See avx512.cc for the rules of the
// region.
#include "device/cpu/kernels.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics headers start from an undefined vector on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <bit>
#include <cstring>
#include <iterator>

#include "device/cpu/vec.h"
#include "tensor/bf16_activation.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,prefer-vector-width=512")
#endif

namespace sluice {
namespace {

// As in kernels.inl.
constexpr int kPrefetchBytes = 8192;

// Two half lines, each a column of 16 rows, as one pair of columns per row.
SLUICE_INLINE __m512i PairColumns(__m512i columns) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, columns);
}

SLUICE_INLINE __m512 Add(__m512 sum, __m512i weights, const std::byte* x) {
  int32_t pair;
  std::memcpy(&pair, x, sizeof(pair));
  return _mm512_dpbf16_ps(sum, (__m512bh)weights, (__m512bh)_mm512_set1_epi32(pair));
}

template <int C>
void Tile(const std::byte* group, int64_t cols, const std::byte* const* x, float* const* out) {
  __m512 sums[C];
  for (int c = 0; c < C; ++c) sums[c] = _mm512_setzero_ps();
  int64_t k = 0;
  for (; k + 2 <= cols; k += 2, group += 64) {
    __builtin_prefetch(group + kPrefetchBytes, 0, 3);
    const __m512i weights = PairColumns(_mm512_loadu_si512(group));
    for (int c = 0; c < C; ++c) sums[c] = Add(sums[c], weights, x[c] + 2 * k);
  }
  if (k < cols) {  // no partner: a weight of 0 beside it, and kBf16Padding
    const __m256i last = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
    const __m512i weights = _mm512_cvtepu16_epi32(last);
    for (int c = 0; c < C; ++c) sums[c] = Add(sums[c], weights, x[c] + 2 * k);
  }
  for (int c = 0; c < C; ++c) _mm512_storeu_ps(out[c], sums[c]);
}

using OneTile = void (*)(const std::byte* group, int64_t cols, const std::byte* const* x,
                         float* const* out);
void AnyTile(const std::byte* group, int64_t cols, const std::byte* const* x, int columns,
             float* const* out) {
  static constexpr OneTile kTiles[] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>,
                                       Tile<5>, Tile<6>, Tile<7>, Tile<8>};
  static_assert(std::size(kTiles) == kTileColumns);
  kTiles[static_cast<size_t>(columns - 1)](group, cols, x, out);
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

void Round(const float* x, int64_t cols, std::byte* out) {
  RoundBf16(x, cols, reinterpret_cast<uint16_t*>(out));
}

// Whether the instruction does what tensor/bf16_activation.h defines: the order of the two steps,
// a rounding after each, and zeros for subnormal numbers.
bool DoesAsDefined() {
  struct Pair {
    float w[2], x[2];
  };
  constexpr Pair kPairs[] = {{{1.0F, 0x1p-24F}, {1.0F, 1.0F}},  // the small one first: lost or not
                             {{0x1.02p0F, 0x1.fep0F}, {0x1.5p9F, -0x1.4ep9F}},
                             {{-0x1p100F, 0x1p100F}, {0x1.02p20F, 0x1.04p20F}},
                             {{0x1p-63F, 0.0F}, {0x1p-64F, 0.0F}},        // subnormal result
                             {{0x1p-127F, 1.0F}, {0x1p100F, 0x1p-120F}},  // subnormal weight
                             {{0x1.5p-3F, 0x1.7p2F}, {-0x1.1p1F, 0x1.9p-5F}}};
  constexpr int kCount = std::size(kPairs);
  alignas(64) std::byte group[kCount * 64] = {};
  uint16_t x[kCount * 2];
  for (int i = 0; i < kCount; ++i) {
    for (int odd = 0; odd < 2; ++odd) {
      const uint16_t weight = F32ToBf16(kPairs[i].w[odd]);
      for (int row = 0; row < 16; ++row) {
        std::memcpy(group + i * 64 + odd * 32 + row * 2, &weight, sizeof(weight));
      }
      x[i * 2 + odd] = F32ToBf16(kPairs[i].x[odd]);
    }
  }
  // Each number of pairs, so that each intermediate sum is seen.
  for (int first = 0; first < kCount; ++first) {
    for (int last = first + 1; last <= kCount; ++last) {
      float actual[16];
      float* out = actual;
      const auto* in = reinterpret_cast<const std::byte*>(x + first * 2);
      AnyTile(group + first * 64, (last - first) * 2, &in, 1, &out);
      float expected = 0;
      for (int i = first; i < last; ++i) {
        for (int odd = 1; odd >= 0; --odd) {
          expected = FlushingFma(kPairs[i].w[odd], kPairs[i].x[odd], expected);
        }
      }
      if (std::bit_cast<uint32_t>(expected) != std::bit_cast<uint32_t>(actual[0])) return false;
    }
  }
  return true;
}

}  // namespace

std::optional<Bf16Kernel> Avx512Bf16Kernel() {
  const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  if (!has || !DoesAsDefined()) return std::nullopt;
  return Bf16Kernel{.round = Round, .tile = AnyTile};
}

}  // namespace sluice

#else  // not x86-64

namespace sluice {
std::optional<Bf16Kernel> Avx512Bf16Kernel() { return std::nullopt; }
}  // namespace sluice

#endif
