// Logarithm and exponential for predictors, four experts at a time, and made of IEEE operations
// alone: every CPU and compiler gives the same bits, which a library's log() does not promise.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice {

using Float4 = float __attribute__((vector_size(16)));
using Int4 = int32_t __attribute__((vector_size(16)));

inline Float4 Load4(const float* at) {
  Float4 x;
  std::memcpy(&x, at, sizeof(x));
  return x;
}
inline void Store4(Float4 x, float* at) { std::memcpy(at, &x, sizeof(x)); }
inline Float4 Max4(Float4 a, Float4 b) { return a < b ? b : a; }
inline Float4 Min4(Float4 a, Float4 b) { return b < a ? b : a; }

// ln(x) for x in [1e-30, 1e30], to 1e-6 absolute.
inline Float4 Log(Float4 x) {
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)): 0x3f3504f3 is sqrt(1/2).
  const Int4 bits = std::bit_cast<Int4>(x) - 0x3f3504f3;
  const Float4 e = __builtin_convertvector(bits >> 23, Float4);
  const auto m = std::bit_cast<Float4>((bits & 0x007fffff) + 0x3f3504f3);
  // ln(m) = 2 atanh(s) with s = (m - 1) / (m + 1), |s| < 0.172: five terms of the series.
  const Float4 s = (m - 1) / (m + 1);
  const Float4 q = s * s;
  const Float4 series =
      ((((q * (1 / 9.0F) + 1 / 7.0F) * q + 1 / 5.0F) * q + 1 / 3.0F) * q + 1.0F) * s * 2.0F;
  return e * 0.69314718F + series;
}

// e^x for |x| <= 80 (beyond, as at the border), to 1e-6 relative.
inline Float4 Exp(Float4 x) {
  constexpr Float4 kMost = {80, 80, 80, 80};
  const Float4 kept = Min4(kMost, Max4(-kMost, x));
  // x = n ln 2 + r with |r| <= ln 2 / 2: a positive number is rounded by truncation.
  const Int4 n = __builtin_convertvector(kept * 1.44269504F + 128.5F, Int4) - 128;
  const Float4 whole = __builtin_convertvector(n, Float4);
  const Float4 r = kept - whole * 0.693359375F + whole * 2.12194440e-4F;  // ln 2 in two parts
  const Float4 series =
      (((((r * (1 / 720.0F) + 1 / 120.0F) * r + 1 / 24.0F) * r + 1 / 6.0F) * r + 0.5F) * r + 1.0F) *
          r +
      1.0F;
  return series * std::bit_cast<Float4>((n + 127) << 23);
}

inline Float4 Sigmoid(Float4 z) { return 1.0F / (1.0F + Exp(-z)); }

// Log-odds of a probability, kept within those of 1e-5 and 1 - 1e-5.
inline Float4 Logit(Float4 p) {
  constexpr Float4 kLeast = {1e-5F, 1e-5F, 1e-5F, 1e-5F};
  const Float4 kept = Min4(1.0F - kLeast, Max4(kLeast, p));
  return Log(kept / (1.0F - kept));
}

inline float Log(float x) { return Log(Float4{x, x, x, x})[0]; }
inline float Exp(float x) { return Exp(Float4{x, x, x, x})[0]; }
inline float Logit(float p) { return Logit(Float4{p, p, p, p})[0]; }

// out[i] = function(in[i]). `in` and `out` are of one size, and may be the same.
template <typename Function>
void Map(std::span<const float> in, std::span<float> out, Function function) {
  size_t i = 0;
  for (; i + 4 <= in.size(); i += 4) Store4(function(Load4(&in[i])), &out[i]);
  if (i == in.size()) return;
  Float4 rest = {0.5F, 0.5F, 0.5F, 0.5F};  // any value that has a logarithm
  const size_t bytes = (in.size() - i) * sizeof(float);
  std::memcpy(&rest, &in[i], bytes);
  rest = function(rest);
  std::memcpy(&out[i], &rest, bytes);
}

}  // namespace sluice
