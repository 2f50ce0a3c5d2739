// Included by lane_kernels.cc once per instruction set, within a namespace and a target region.
// Plain loops: the compiler makes vectors of them. Calls nothing outside this file.

// NOLINTBEGIN(readability-function-size): a kernel takes plain arrays, one parameter each.

using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));

#define SLUICE_LANE_INLINE __attribute__((always_inline)) inline

SLUICE_LANE_INLINE Floats Load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
SLUICE_LANE_INLINE void Store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }

SLUICE_LANE_INLINE float AsFloat(int32_t bits) {
  float f;
  __builtin_memcpy(&f, &bits, sizeof f);
  return f;
}
SLUICE_LANE_INLINE int32_t AsInt(float f) {
  int32_t bits;
  __builtin_memcpy(&bits, &f, sizeof bits);
  return bits;
}

// The greatest of 16, by halves; which of two equal ones does not show.
SLUICE_LANE_INLINE float Greatest(Floats v) {
  Floats other =
      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  v = v > other ? v : other;
  other = __builtin_shufflevector(v, v, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
  v = v > other ? v : other;
  other = __builtin_shufflevector(v, v, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3);
  v = v > other ? v : other;
  return v[0] > v[1] ? v[0] : v[1];
}

// e^x = 2^n e^f with |f| <= ln(2) / 2, where seven terms of the series leave 1e-8.
SLUICE_LANE_INLINE float Exp(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer
  const float n = (x * 1.44269504F + kRound) - kRound;
  const float f = (x - n * 0.693145752F) - n * 1.42860677e-6F;  // ln(2) in two parts
  float p = 1.0F / 5040;
  p = p * f + 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  return p * AsFloat((static_cast<int32_t>(n) + 127) << 23);
}

// ln(2^n m) with m from sqrt(1/2) to sqrt(2): 2 atanh((m - 1) / (m + 1)), five terms. x > 0.
SLUICE_LANE_INLINE float Log(float x) {
  constexpr int32_t kRootHalf = 0x3F3504F3;  // bits of sqrt(1/2)
  const int32_t from = AsInt(x) - kRootHalf;
  const int32_t n = from >> 23;
  const float m = AsFloat((from & 0x7FFFFF) + kRootHalf);
  const float s = (m - 1.0F) / (m + 1.0F);
  const float s2 = s * s;
  float p = 1.0F / 9;
  p = p * s2 + 1.0F / 7;
  p = p * s2 + 1.0F / 5;
  p = p * s2 + 1.0F / 3;
  p = p * s2 + 1.0F;
  return static_cast<float>(n) * 0.693147181F + 2.0F * s * p;
}

#if defined(SLUICE_LANE_POPCOUNT)
SLUICE_LANE_INLINE int32_t BitsPerByte(uint32_t v) { return __builtin_popcount(v); }
SLUICE_LANE_INLINE int32_t SumBytes(int32_t v) { return v; }
#else
// Each byte counts its own bits; the bytes of a few words are added up before they are summed.
SLUICE_LANE_INLINE int32_t BitsPerByte(uint32_t v) {
  v = v - ((v >> 1) & 0x55555555U);
  v = (v & 0x33333333U) + ((v >> 2) & 0x33333333U);
  return static_cast<int32_t>((v + (v >> 4)) & 0x0F0F0F0FU);
}
SLUICE_LANE_INLINE int32_t SumBytes(int32_t v) {
  return static_cast<int32_t>((static_cast<uint32_t>(v) * 0x01010101U) >> 24);
}
#endif

void AddOverlap(ExpertBits bits, const uint32_t* chosen, int32_t* overlap, size_t tokens) {
  size_t plane = 0;
  for (; plane + 4 <= bits.planes; plane += 4) {
    const uint32_t* __restrict w0 = bits.words + plane * bits.stride;
    const uint32_t* __restrict w1 = w0 + bits.stride;
    const uint32_t* __restrict w2 = w1 + bits.stride;
    const uint32_t* __restrict w3 = w2 + bits.stride;
    int32_t* __restrict out = overlap;
    const uint32_t c0 = chosen[plane];
    const uint32_t c1 = chosen[plane + 1];
    const uint32_t c2 = chosen[plane + 2];
    const uint32_t c3 = chosen[plane + 3];
    for (size_t q = 0; q < tokens; ++q) {
      out[q] += SumBytes(BitsPerByte(w0[q] & c0) + BitsPerByte(w1[q] & c1) +
                         BitsPerByte(w2[q] & c2) + BitsPerByte(w3[q] & c3));
    }
  }
  for (; plane < bits.planes; ++plane) {
    const uint32_t* __restrict w = bits.words + plane * bits.stride;
    int32_t* __restrict out = overlap;
    const uint32_t c = chosen[plane];
    for (size_t q = 0; q < tokens; ++q) out[q] += SumBytes(BitsPerByte(w[q] & c));
  }
}

float Affinity(const int32_t* overlap, const float* carried, float weight, float scale,
               float* affinity, float* best, size_t tokens) {
  float greatest = -1.0F;  // an affinity is not negative
  for (size_t q = 0; q < tokens; q += kLanes) {
    Ints common;
    __builtin_memcpy(&common, overlap + q, sizeof common);
    const Floats a = scale * (weight * __builtin_convertvector(common, Floats) + Load(carried + q));
    Store(affinity + q, a);
    float block = -1.0F;
    if (q + kLanes <= tokens) {
      block = Greatest(a);
    } else {
      for (size_t i = q; i < tokens; ++i) block = affinity[i] > block ? affinity[i] : block;
    }
    best[q / kLanes] = block;
    greatest = block > greatest ? block : greatest;
  }
  return greatest;
}

void ExpAll(float* __restrict values, size_t lanes) {
  for (size_t i = 0; i < lanes; ++i) values[i] = Exp(values[i]);
}

#if defined(SLUICE_LANE_WIDE_VOTE)
// 32 experts per plane at a time, whose sums stay in registers. Adding 0 changes no bit of a sum.
template <size_t kPlanes>
SLUICE_LANE_INLINE void VoteBlock(const uint32_t* words, size_t stride, const uint32_t* voters,
                                  size_t voter_count, const float* weights, float* votes) {
  Ints low;
  for (int32_t i = 0; i < 16; ++i) low[i] = 1 << i;
  const Ints high = low << 16;
  Floats sums[2 * kPlanes];
  for (size_t i = 0; i < 2 * kPlanes; ++i) sums[i] = Load(votes + kLanes * i);
  for (size_t v = 0; v < voter_count; ++v) {
    const uint32_t q = voters[v];
    const Floats weight = Floats{} + weights[q];
#pragma GCC unroll 4
    for (size_t i = 0; i < kPlanes; ++i) {
      const Ints word = Ints{} + static_cast<int32_t>(words[i * stride + q]);
      sums[2 * i] += (word & low) != 0 ? weight : Floats{};
      sums[2 * i + 1] += (word & high) != 0 ? weight : Floats{};
    }
  }
  for (size_t i = 0; i < 2 * kPlanes; ++i) Store(votes + kLanes * i, sums[i]);
}

void Vote(ExpertBits bits, const uint32_t* voters, size_t voter_count, const float* weights,
          float* votes) {
  size_t plane = 0;
  for (; plane + 4 <= bits.planes; plane += 4) {
    VoteBlock<4>(bits.words + plane * bits.stride, bits.stride, voters, voter_count, weights,
                 votes + 32 * plane);
  }
  for (; plane < bits.planes; ++plane) {
    VoteBlock<1>(bits.words + plane * bits.stride, bits.stride, voters, voter_count, weights,
                 votes + 32 * plane);
  }
}
#else
void Vote(ExpertBits bits, const uint32_t* voters, size_t voter_count, const float* weights,
          float* votes) {
  for (size_t v = 0; v < voter_count; ++v) {
    const uint32_t q = voters[v];
    for (size_t plane = 0; plane < bits.planes; ++plane) {
      float* here = votes + 32 * plane;
      for (uint32_t word = bits.words[plane * bits.stride + q]; word != 0; word &= word - 1) {
        here[__builtin_ctz(word)] += weights[q];
      }
    }
  }
}
#endif

void Age(const float* __restrict chosen, float* __restrict averages, float* __restrict ages,
         float* __restrict context, size_t lanes) {
  for (size_t d = 0; d < kDecays; ++d) {
    const float keep = kDecayRates[d];
    const float add = 1.0F - keep;
    float* __restrict average = averages + d * lanes;
    for (size_t e = 0; e < lanes; ++e) average[e] = keep * average[e] + add * chosen[e];
  }
  for (size_t e = 0; e < lanes; ++e) {
    const float older = ages[e] + 1.0F;
    ages[e] = (older < kOldest ? older : kOldest) * (1.0F - chosen[e]);
    context[e] = kContextDecay * context[e] + chosen[e];
  }
}

void Features(const float* __restrict averages, const float* __restrict ages,
              const float* __restrict recall, float* __restrict features, size_t lanes) {
  for (size_t d = 0; d < kDecays; ++d) {
    const float floor = kDecayFloors[d];
    for (size_t e = 0; e < lanes; ++e) {
      features[d * lanes + e] = 1.0F + 0.5F * Log(averages[d * lanes + e] + floor);
    }
  }
  float* __restrict age = features + kDecays * lanes;
  for (size_t e = 0; e < lanes; ++e) age[e] = 0.5F * Log(1.0F + ages[e]) - 1.0F;
  float* __restrict recalled = age + lanes;
  for (size_t e = 0; e < lanes; ++e) recalled[e] = 1.0F + 0.5F * Log(recall[e] + kRecallFloor);
}

// One block of kBlock vectors, whose sums stay in registers.
template <size_t kBlock>
SLUICE_LANE_INLINE void ScoreBlock(const float* features, const float* weights, const float* table,
                                   const uint32_t* rows, const float* scales, size_t row_count,
                                   float* z, size_t lanes, size_t first) {
  Floats sums[kBlock];
  for (size_t i = 0; i < kBlock; ++i) {
    sums[i] = Floats{} + weights[0];
    for (size_t f = 0; f < kFeatures; ++f) {
      sums[i] += weights[1 + f] * Load(features + f * lanes + first + kLanes * i);
    }
  }
  for (size_t r = 0; r < row_count; ++r) {
    const float* row = table + rows[r] * lanes + first;
    for (size_t i = 0; i < kBlock; ++i) sums[i] += scales[r] * Load(row + kLanes * i);
  }
  for (size_t i = 0; i < kBlock; ++i) Store(z + first + kLanes * i, sums[i]);
}

void ScoreAll(const float* features, const float* weights, const float* table, const uint32_t* rows,
              const float* scales, size_t row_count, float* z, size_t lanes) {
  size_t first = 0;
  for (; first + 8 * kLanes <= lanes; first += 8 * kLanes) {
    ScoreBlock<8>(features, weights, table, rows, scales, row_count, z, lanes, first);
  }
  for (; first < lanes; first += kLanes) {
    ScoreBlock<1>(features, weights, table, rows, scales, row_count, z, lanes, first);
  }
}

// The lanes of a sum, pairwise.
SLUICE_LANE_INLINE float Sum(Floats v) {
  float lanes[kLanes];
  Store(lanes, v);
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

void Gradient(const float* __restrict labels, const float* __restrict z,
              const float* __restrict features, size_t experts, float* __restrict delta,
              float* __restrict gradient, size_t lanes) {
  for (size_t e = 0; e < lanes; ++e) {
    float bounded = z[e] < 30.0F ? z[e] : 30.0F;
    bounded = bounded > -30.0F ? bounded : -30.0F;
    delta[e] = labels[e] - 1.0F / (1.0F + Exp(-bounded));
  }
  for (size_t e = experts; e < lanes; ++e) delta[e] = 0;
  for (size_t f = 0; f < 1 + kFeatures; ++f) {
    Floats sum{};
    for (size_t e = 0; e < lanes; e += kLanes) {
      const Floats d = Load(delta + e);
      sum += f == 0 ? d : d * Load(features + (f - 1) * lanes + e);
    }
    gradient[f] = Sum(sum);
  }
}

void Learn(float* table, const uint32_t* rows, const float* rates, size_t row_count,
           const float* delta, size_t lanes) {
  for (size_t r = 0; r < row_count; ++r) {
    float* row = table + rows[r] * lanes;
    for (size_t e = 0; e < lanes; e += kLanes) {
      Store(row + e, Load(row + e) + rates[r] * Load(delta + e));
    }
  }
}

constexpr LaneKernels kKernels = {kName, AddOverlap, Affinity, ExpAll,   Vote,
                                  Age,   Features,   ScoreAll, Gradient, Learn};

#undef SLUICE_LANE_INLINE

// NOLINTEND(readability-function-size)
