// Formats with scales to choose: the K-quants, those with a table of values, and MXFP4. Here is how
// their fields are packed; scale_search.h chooses what goes in.
#include <algorithm>
#include <cmath>

#include "quantize/encode.h"
#include "quantize/scale_search.h"

namespace sluice {
namespace {

// The values of kTable as codes, which ascend.
struct TableCodes {
  static constexpr float kExtreme = IQ4_NL::kTable[0];
  static constexpr float kStep = 0.02F;
  static int Index(float x) {
    int index = 0;
    for (int i = 0; i < 15; ++i) {
      const float middle = 0.5F * static_cast<float>(IQ4_NL::kTable[i] + IQ4_NL::kTable[i + 1]);
      index += x > middle ? 1 : 0;
    }
    return index;
  }
  // The sum of the steps below x, which compilers make vectors of; a table they do not.
  static float Nearest(float x) {
    float value = kExtreme;
    for (int i = 0; i < 15; ++i) {
      const auto low = static_cast<float>(IQ4_NL::kTable[i]);
      const auto high = static_cast<float>(IQ4_NL::kTable[i + 1]);
      value += x > 0.5F * (low + high) ? high - low : 0.0F;
    }
    return value;
  }
};

uint8_t Byte(int value) { return static_cast<uint8_t>(value); }

void PutTableNibbles(const float* x, float scale, uint8_t* q) {
  const float inverse = InverseOrZero(scale);
  for (int i = 0; i < 16; ++i) {
    q[i] = Byte(TableCodes::Index(x[i] * inverse) | (TableCodes::Index(x[i + 16] * inverse) << 4));
  }
}

// Two bits of element i, as Q2_K and Q3_K place them.
void PutTwoBits(int value, int i, uint8_t* q) {
  const int lane = i % 128;
  uint8_t& at = q[i / 128 * 32 + lane % 32];
  at = Byte(at | (value << (lane / 32 * 2)));
}

// Six-bit pairs of 8 sub-blocks, as Q4_K and Q5_K place them.
template <typename Fit>
void PutSixBitPairs(const Fit& fit, uint8_t* scales) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = Byte(fit.scales[j] | ((fit.scales[j + 4] >> 4) << 6));
    scales[j + 4] = Byte(fit.mins[j] | ((fit.mins[j + 4] >> 4) << 6));
    scales[j + 8] = Byte((fit.scales[j + 4] & 15) | ((fit.mins[j + 4] & 15) << 4));
  }
}

// Calls put(i, code) for every element of a block with minima.
template <int kSubs, int64_t kCount, typename Put>
void ForCodes(const ScaledMinFit<kSubs>& fit, const float* x, int highest, const Put& put) {
  const float d = F16ToF32(fit.d);
  const float dmin = F16ToF32(fit.dmin);
  for (int j = 0; j < kSubs; ++j) {
    const float inverse = InverseOrZero(d * static_cast<float>(fit.scales[j]));
    const float min = dmin * static_cast<float>(fit.mins[j]);
    for (int i = 0; i < kCount; ++i) {
      const auto at = static_cast<int>(j * kCount) + i;
      put(at, static_cast<int>(CodeFrom(x[at], min, inverse, static_cast<float>(highest))));
    }
  }
}

// The same of a block without.
template <typename Codes, int kSubs, int64_t kCount, typename Put>
void ForCodes(const ScaledFit<kSubs>& fit, const float* x, const Put& put) {
  const float d = F16ToF32(fit.d);
  for (int j = 0; j < kSubs; ++j) {
    const float inverse = InverseOrZero(d * static_cast<float>(fit.scales[j]));
    for (int i = 0; i < kCount; ++i) {
      const auto at = static_cast<int>(j * kCount) + i;
      put(at, static_cast<int>(Codes::Nearest(x[at] * inverse)));
    }
  }
}

}  // namespace

template <>
Q2_K::Block Encode<Q2_K>(const float* x) {
  const auto fit = FitScalesAndMins<16, 16>(x, 3, 15);
  Q2_K::Block block{};
  block.d = fit.d;
  block.dmin = fit.dmin;
  for (int j = 0; j < 16; ++j) block.scales[j] = Byte(fit.scales[j] | (fit.mins[j] << 4));
  ForCodes<16, 16>(fit, x, 3, [&](int i, int code) { PutTwoBits(code, i, block.q); });
  return block;
}

template <>
Q3_K::Block Encode<Q3_K>(const float* x) {
  using Codes = IntegerCodes<-4, 3>;
  const auto fit = FitScales<Codes, 16, 16>(x, -32, 31);
  Q3_K::Block block{};
  block.d = fit.d;
  for (int j = 0; j < 16; ++j) {
    const int scale = fit.scales[j] + 32;
    block.scales[j % 8] = Byte(block.scales[j % 8] | ((scale & 15) << (j / 8 * 4)));
    block.scales[8 + j % 4] = Byte(block.scales[8 + j % 4] | ((scale >> 4) << (j / 4 * 2)));
  }
  ForCodes<Codes, 16, 16>(fit, x, [&](int i, int code) {
    PutTwoBits((code + 4) & 3, i, block.q);
    block.hmask[i % 32] = Byte(block.hmask[i % 32] | (((code + 4) >> 2) << (i / 32)));
  });
  return block;
}

template <>
Q4_K::Block Encode<Q4_K>(const float* x) {
  const auto fit = FitScalesAndMins<8, 32>(x, 15, 63);
  Q4_K::Block block{};
  block.d = fit.d;
  block.dmin = fit.dmin;
  PutSixBitPairs(fit, block.scales);
  ForCodes<8, 32>(fit, x, 15, [&](int i, int code) {
    uint8_t& at = block.q[i / 64 * 32 + i % 32];
    at = Byte(at | (code << (i / 32 % 2 * 4)));
  });
  return block;
}

template <>
Q5_K::Block Encode<Q5_K>(const float* x) {
  const auto fit = FitScalesAndMins<8, 32>(x, 31, 63);
  Q5_K::Block block{};
  block.d = fit.d;
  block.dmin = fit.dmin;
  PutSixBitPairs(fit, block.scales);
  ForCodes<8, 32>(fit, x, 31, [&](int i, int code) {
    uint8_t& at = block.q[i / 64 * 32 + i % 32];
    at = Byte(at | ((code & 15) << (i / 32 % 2 * 4)));
    block.qh[i % 32] = Byte(block.qh[i % 32] | ((code >> 4) << (i / 32)));
  });
  return block;
}

template <>
Q6_K::Block Encode<Q6_K>(const float* x) {
  using Codes = IntegerCodes<-32, 31>;
  const auto fit = FitScales<Codes, 16, 16>(x, -128, 127);
  Q6_K::Block block{};
  block.d = fit.d;
  for (int j = 0; j < 16; ++j) block.scales[j] = static_cast<int8_t>(fit.scales[j]);
  ForCodes<Codes, 16, 16>(fit, x, [&](int i, int code) {
    const int half = i / 128;
    const int lane = i % 128;
    uint8_t& low = block.ql[half * 64 + lane % 64];
    uint8_t& high = block.qh[half * 32 + lane % 32];
    low = Byte(low | (((code + 32) & 15) << (lane / 64 * 4)));
    high = Byte(high | (((code + 32) >> 4) << (lane / 32 * 2)));
  });
  return block;
}

template <>
IQ4_NL::Block Encode<IQ4_NL>(const float* x) {
  // Rounding the scale to f16 may make a neighbour better.
  const uint16_t wanted = F32ToF16(SearchScale<TableCodes>(x, 32));
  IQ4_NL::Block block{};
  block.d = wanted;
  float least = SquaredError<TableCodes>(x, 32, F16ToF32(wanted));
  for (const int step : {-1, 1}) {
    const auto tried = static_cast<uint16_t>(wanted + step);
    const float error = SquaredError<TableCodes>(x, 32, F16ToF32(tried));
    if (!(error < least)) continue;  // NaN beyond the ends
    least = error;
    block.d = tried;
  }
  PutTableNibbles(x, F16ToF32(block.d), block.q);
  return block;
}

template <>
IQ4_XS::Block Encode<IQ4_XS>(const float* x) {
  const auto fit = FitScales<TableCodes, 8, 32>(x, -32, 31);
  IQ4_XS::Block block{};
  block.d = fit.d;
  const float d = F16ToF32(fit.d);
  for (int j = 0; j < 8; ++j) {
    const int scale = fit.scales[j] + 32;
    block.scales_l[j / 2] = Byte(block.scales_l[j / 2] | ((scale & 15) << (j % 2 * 4)));
    block.scales_h = static_cast<uint16_t>(block.scales_h | ((scale >> 4) << (2 * j)));
    const auto sub = static_cast<ptrdiff_t>(j);
    PutTableNibbles(x + sub * 32, d * static_cast<float>(fit.scales[j]), block.q + sub * 16);
  }
  return block;
}

// The `gguf` package's exponent puts the largest number into the table's last binade; the ones
// beside it may cost less.
template <>
MXFP4::Block Encode<MXFP4>(const float* x) {
  const auto nearest = [](float value) {
    int best = 0;
    for (int i = 1; i < 16; ++i) {
      const auto distance = [&](int k) {
        return std::fabs(static_cast<float>(MXFP4::kTable[k]) - value);
      };
      if (distance(i) < distance(best)) best = i;
    }
    return best;
  };
  const float largest = std::fabs(LargestOf(x, 32));
  // A table value of 8 to 12, the last binade, is 2^3 times the halved scale 2^(e - 128).
  const int exponent = largest > 0 ? std::ilogb(largest) + 125 : 0;
  MXFP4::Block best{};
  float least = std::numeric_limits<float>::infinity();
  for (const int e : {exponent, exponent - 1, exponent + 1}) {
    MXFP4::Block block{};
    block.e = Byte(std::clamp(e, 0, 254));
    const float scale = MXFP4::Scale(block.e);
    float error = 0;
    for (int i = 0; i < 32; ++i) {
      const int code = nearest(x[i] / scale);
      const float difference = x[i] - scale * static_cast<float>(MXFP4::kTable[code]);
      error += difference * difference;
      block.q[i % 16] = Byte(block.q[i % 16] | (code << (i / 16 * 4)));
    }
    if (error >= least) continue;
    least = error;
    best = block;
  }
  return best;
}

}  // namespace sluice
