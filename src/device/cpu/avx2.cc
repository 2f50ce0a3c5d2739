// AVX2, FMA and F16C: 8 lanes, byte products through pairs of int16.
//
// See avx512.cc for the rules of the region.
#include "device/cpu/kernels.h"

#if defined(__x86_64__)
// V16f is wider than a register here; it is passed between inlined functions of this file only.
#pragma GCC diagnostic ignored "-Wpsabi"
#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "base/fp16.h"
#include "device/cpu/vec.h"
#include "device/kv_codec.h"
#include "device/math.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace sluice {
namespace {

struct Isa {
  using I = __m256i;
  using F = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTileColumns = 4;  // whose sums and dots stay in registers
  static constexpr int kSignedBias = 0;

  static SLUICE_INLINE I Load(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static SLUICE_INLINE F LoadF(const std::byte* p) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  }
  static SLUICE_INLINE F LoadFloats(const float* p) { return _mm256_loadu_ps(p); }
  static SLUICE_INLINE F LoadF16(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static SLUICE_INLINE F LoadBF16(const std::byte* p) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  // Bytes and 16-bit numbers, zero-extended.
  static SLUICE_INLINE I LoadU8(const std::byte* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static SLUICE_INLINE I LoadU16(const std::byte* p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static SLUICE_INLINE void StoreF(float* p, F v) { _mm256_storeu_ps(p, v); }
  static SLUICE_INLINE void Store(std::byte* p, I v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static SLUICE_INLINE F Zero() { return _mm256_setzero_ps(); }
  static SLUICE_INLINE I Set1(int32_t v) { return _mm256_set1_epi32(v); }
  static SLUICE_INLINE F Set1F(float v) { return _mm256_set1_ps(v); }
  static SLUICE_INLINE I And(I a, I b) { return _mm256_and_si256(a, b); }
  static SLUICE_INLINE I Or(I a, I b) { return _mm256_or_si256(a, b); }
  static SLUICE_INLINE I Add(I a, I b) { return _mm256_add_epi32(a, b); }
  static SLUICE_INLINE I Sub(I a, I b) { return _mm256_sub_epi32(a, b); }
  static SLUICE_INLINE I SubBytes(I a, I b) { return _mm256_sub_epi8(a, b); }
  template <int kBits>
  static SLUICE_INLINE I ShiftRight(I v) {
    return _mm256_srli_epi32(v, kBits);
  }
  template <int kBits>
  static SLUICE_INLINE I ShiftLeft(I v) {
    return _mm256_slli_epi32(v, kBits);
  }
  static SLUICE_INLINE I LowNibbles(I v) { return And(v, Set1(0x0F0F0F0F)); }
  static SLUICE_INLINE I HighNibbles(I v) { return And(ShiftRight<4>(v), Set1(0x0F0F0F0F)); }
  template <int kByte>
  static SLUICE_INLINE I SignedByte(I v) {
    return _mm256_srai_epi32(_mm256_slli_epi32(v, 24 - 8 * kByte), 24);
  }
  // vpmaddubsw saturates at int16: our unsigned operands are below 64 (2 * 63 * 127 fits), and
  // DotBiased passes magnitudes of at most 128 (2 * 128 * 127 = 32512 fits).
  static SLUICE_INLINE I DotU8(I sum, I u, I s) {
    const I pairs = _mm256_maddubs_epi16(u, s);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static SLUICE_INLINE I Biased(I s) { return s; }
  static SLUICE_INLINE I DotBiased(I sum, I s, I t) {
    return DotU8(sum, _mm256_abs_epi8(s), _mm256_sign_epi8(t, s));
  }
  // 16 bytes, and for each byte 0..15 of `indices` the one that it names.
  static SLUICE_INLINE I Table(const int8_t* t) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(t)));
  }
  static SLUICE_INLINE I LookUp(I table, I indices) { return _mm256_shuffle_epi8(table, indices); }
  // Byte b of each lane is 16 if the lane's bit kFirst + b is set, else 0. kFirst: a multiple of 4.
  template <int kFirst>
  static SLUICE_INLINE I SpreadBits(I v) {
    const I order = _mm256_broadcastsi128_si256(_mm_add_epi8(
        _mm_set_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0), _mm_set1_epi8(kFirst / 8)));
    const I bits = Set1(kFirst % 8 == 0 ? 0x08040201 : static_cast<int32_t>(0x80402010U));
    const I set = _mm256_cmpeq_epi8(And(LookUp(v, order), bits), bits);
    return And(set, Set1(0x10101010));
  }
  static SLUICE_INLINE F AsFloat(I v) { return _mm256_castsi256_ps(v); }
  static SLUICE_INLINE F ToFloat(I v) { return _mm256_cvtepi32_ps(v); }
  static SLUICE_INLINE F Negate(F v) { return _mm256_xor_ps(v, Set1F(-0.0F)); }
  static SLUICE_INLINE F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static SLUICE_INLINE F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static SLUICE_INLINE F NegFma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }

  static SLUICE_INLINE V16f Join(F low, F high) {
    V16f joined;
    std::memcpy(&joined, &low, sizeof(low));
    std::memcpy(reinterpret_cast<char*>(&joined) + sizeof(low), &high, sizeof(high));
    return joined;
  }
  // to[i][k] = from[k][i] for 8 x 8 floats, rows being strides apart.
  static SLUICE_INLINE void Transpose(const float* from, int64_t from_stride, float* to,
                                      int64_t to_stride) {
    F a[8];
    F b[8];
    for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(from + i * from_stride);
    for (int i = 0; i < 8; i += 2) {
      b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    // Now a[4g + j]: column 4h + j of rows 4g .. 4g + 3 in each half h.
    for (int i = 0; i < 8; i += 4) {
      a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
      a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
      a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
      a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
    }
    for (int j = 0; j < 4; ++j) {
      _mm256_storeu_ps(to + j * to_stride, _mm256_permute2f128_ps(a[j], a[4 + j], 0x20));
      _mm256_storeu_ps(to + (4 + j) * to_stride, _mm256_permute2f128_ps(a[j], a[4 + j], 0x31));
    }
  }

  static SLUICE_INLINE V16f F16x16(const std::byte* p) { return Join(LoadF16(p), LoadF16(p + 16)); }
  static SLUICE_INLINE V16f BF16x16(const std::byte* p) {
    return Join(LoadBF16(p), LoadBF16(p + 16));
  }
  static SLUICE_INLINE F S8x8(const std::byte* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static SLUICE_INLINE V16f S8x16(const std::byte* p) { return Join(S8x8(p), S8x8(p + 8)); }
  static SLUICE_INLINE int32_t RoundToBytes(V16f v, int8_t* out) {
    int32_t sum = 0;
    for (int half = 0; half < 2; ++half) {
      F x;
      std::memcpy(&x, reinterpret_cast<const char*>(&v) + half * sizeof(x), sizeof(x));
      int32_t rounded[8];
      const I r = _mm256_cvtps_epi32(x);
      std::memcpy(rounded, &r, sizeof(rounded));
      for (int i = 0; i < 8; ++i) {
        // Out of range and NaN convert to INT32_MIN.
        const int32_t kept = rounded[i] >= -127 && rounded[i] <= 127 ? rounded[i] : 0;
        out[half * 8 + i] = static_cast<int8_t>(kept);
        sum += kept;
      }
    }
    return sum;
  }
};

#include "device/cpu/kernels.inl"

}  // namespace
}  // namespace sluice

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace sluice {

const Kernels* Avx2Kernels() {
  // Every processor with AVX2 has F16C, which clang 14 cannot ask about.
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has ? &kKernels : nullptr;
}

}  // namespace sluice

#else  // not x86-64

namespace sluice {
const Kernels* Avx2Kernels() { return nullptr; }
}  // namespace sluice

#endif
