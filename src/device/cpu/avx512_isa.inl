// AVX-512 with VNNI: 16 lanes. Part of avx512.cc and amx.cc, inside their target regions.

struct Isa {
  using I = __m512i;
  using F = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTileColumns = 8;  // whose sums and dots stay in registers
  static constexpr int kSignedBias = 128;

  static SLUICE_INLINE I Load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static SLUICE_INLINE F LoadF(const std::byte* p) {
    return _mm512_loadu_ps(reinterpret_cast<const float*>(p));
  }
  static SLUICE_INLINE F LoadFloats(const float* p) { return _mm512_loadu_ps(p); }
  static SLUICE_INLINE F LoadF16(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static SLUICE_INLINE F LoadBF16(const std::byte* p) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  // Bytes and 16-bit numbers, zero-extended.
  static SLUICE_INLINE I LoadU8(const std::byte* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static SLUICE_INLINE I LoadU16(const std::byte* p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static SLUICE_INLINE void StoreF(float* p, F v) { _mm512_storeu_ps(p, v); }
  static SLUICE_INLINE void Store(std::byte* p, I v) { _mm512_storeu_si512(p, v); }
  static SLUICE_INLINE F Zero() { return _mm512_setzero_ps(); }
  static SLUICE_INLINE I Set1(int32_t v) { return _mm512_set1_epi32(v); }
  static SLUICE_INLINE F Set1F(float v) { return _mm512_set1_ps(v); }
  static SLUICE_INLINE I And(I a, I b) { return _mm512_and_si512(a, b); }
  static SLUICE_INLINE I Or(I a, I b) { return _mm512_or_si512(a, b); }
  static SLUICE_INLINE I Add(I a, I b) { return _mm512_add_epi32(a, b); }
  static SLUICE_INLINE I Sub(I a, I b) { return _mm512_sub_epi32(a, b); }
  static SLUICE_INLINE I SubBytes(I a, I b) { return _mm512_sub_epi8(a, b); }
  template <int kBits>
  static SLUICE_INLINE I ShiftRight(I v) {
    return _mm512_srli_epi32(v, kBits);
  }
  template <int kBits>
  static SLUICE_INLINE I ShiftLeft(I v) {
    return _mm512_slli_epi32(v, kBits);
  }
  static SLUICE_INLINE I LowNibbles(I v) { return And(v, Set1(0x0F0F0F0F)); }
  static SLUICE_INLINE I HighNibbles(I v) { return And(ShiftRight<4>(v), Set1(0x0F0F0F0F)); }
  // Byte kByte of every lane, sign-extended.
  template <int kByte>
  static SLUICE_INLINE I SignedByte(I v) {
    return _mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * kByte), 24);
  }
  static SLUICE_INLINE I DotU8(I sum, I u, I s) { return _mm512_dpbusd_epi32(sum, u, s); }
  static SLUICE_INLINE I Biased(I s) {
    return _mm512_xor_si512(s, Set1(static_cast<int32_t>(0x80808080U)));
  }
  static SLUICE_INLINE I DotBiased(I sum, I s, I t) { return DotU8(sum, s, t); }
  // 16 bytes, and for each byte 0..15 of `indices` the one that it names.
  static SLUICE_INLINE I Table(const int8_t* t) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(t)));
  }
  static SLUICE_INLINE I LookUp(I table, I indices) { return _mm512_shuffle_epi8(table, indices); }
  // Byte b of each lane is 16 if the lane's bit kFirst + b is set, else 0. kFirst: a multiple of 4.
  template <int kFirst>
  static SLUICE_INLINE I SpreadBits(I v) {
    const I order = _mm512_broadcast_i32x4(_mm_add_epi8(
        _mm_set_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0), _mm_set1_epi8(kFirst / 8)));
    const I bits = Set1(kFirst % 8 == 0 ? 0x08040201 : static_cast<int32_t>(0x80402010U));
    return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(LookUp(v, order), bits), Set1(0x10101010));
  }
  static SLUICE_INLINE F AsFloat(I v) { return _mm512_castsi512_ps(v); }
  static SLUICE_INLINE F ToFloat(I v) { return _mm512_cvtepi32_ps(v); }
  static SLUICE_INLINE F Negate(F v) { return _mm512_xor_ps(v, Set1F(-0.0F)); }
  static SLUICE_INLINE F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static SLUICE_INLINE F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static SLUICE_INLINE F NegFma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }

  static SLUICE_INLINE F LowPairs(F x, F y) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
  }
  static SLUICE_INLINE F HighPairs(F x, F y) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
  }
  // to[i][k] = from[k][i] for 16 x 16 floats, rows being strides apart.
  static SLUICE_INLINE void Transpose(const float* from, int64_t from_stride, float* to,
                                      int64_t to_stride) {
    F a[16];
    F b[16];
    for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(from + i * from_stride);
    for (int i = 0; i < 16; i += 2) {
      b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    // Now a[4g + j]: column 4q + j of rows 4g .. 4g + 3 in each quarter q.
    for (int i = 0; i < 16; i += 4) {
      a[i] = LowPairs(b[i], b[i + 2]);
      a[i + 1] = HighPairs(b[i], b[i + 2]);
      a[i + 2] = LowPairs(b[i + 1], b[i + 3]);
      a[i + 3] = HighPairs(b[i + 1], b[i + 3]);
    }
    // The 4 x 4 quarters themselves are transposed.
    for (int j = 0; j < 4; ++j) {
      const F even01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88);
      const F odd01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xDD);
      const F even23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
      const F odd23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xDD);
      _mm512_storeu_ps(to + j * to_stride, _mm512_shuffle_f32x4(even01, even23, 0x88));
      _mm512_storeu_ps(to + (4 + j) * to_stride, _mm512_shuffle_f32x4(odd01, odd23, 0x88));
      _mm512_storeu_ps(to + (8 + j) * to_stride, _mm512_shuffle_f32x4(even01, even23, 0xDD));
      _mm512_storeu_ps(to + (12 + j) * to_stride, _mm512_shuffle_f32x4(odd01, odd23, 0xDD));
    }
  }

  static SLUICE_INLINE V16f F16x16(const std::byte* p) { return (V16f)LoadF16(p); }
  static SLUICE_INLINE V16f BF16x16(const std::byte* p) { return (V16f)LoadBF16(p); }
  static SLUICE_INLINE V16f S8x16(const std::byte* p) {
    return (V16f)_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  // Rounds to nearest even; what is not within -127..127 becomes 0. Returns the sum.
  static SLUICE_INLINE int32_t RoundToBytes(V16f v, int8_t* out) {
    const F x = (F)v;
    const I rounded = _mm512_cvtps_epi32(x);
    const __mmask16 inside =
        _mm512_cmp_epi32_mask(_mm512_abs_epi32(rounded), Set1(127), _MM_CMPINT_LE);
    const __mmask16 sane = inside & _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q) &
                           _mm512_cmp_epi32_mask(rounded, Set1(INT32_MIN), _MM_CMPINT_NE);
    const I kept = _mm512_maskz_mov_epi32(sane, rounded);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(kept));
    return _mm512_reduce_add_epi32(kept);
  }
};
