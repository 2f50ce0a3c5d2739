// The witness is the compiler's own half type (F16C/soft-fp), over every half and many floats.
#include "base/fp16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace sluice {
namespace {

#if defined(__GNUC__) && !defined(__clang__)
TEST(Fp16Test, EveryHalfWidensAsTheCompilerDoes) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const auto half = std::bit_cast<_Float16>(static_cast<uint16_t>(h));
    const auto expected = static_cast<float>(half);
    const float actual = F16ToF32(static_cast<uint16_t>(h));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual));
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(expected)) << h;
    }
  }
}

TEST(Fp16Test, FloatsNarrowAsTheCompilerDoes) {
  uint32_t bits = 1;
  for (int i = 0; i < 2000000; ++i) {
    bits = bits * 1664525U + 1013904223U;
    // Every second value near the range of halves, where rounding is interesting.
    const uint32_t chosen = i % 2 == 0 ? bits : (bits & 0x807FFFFFU) | ((100 + bits % 45) << 23);
    const auto f = std::bit_cast<float>(chosen);
    const auto expected = std::bit_cast<uint16_t>(static_cast<_Float16>(f));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(f))));
    } else {
      ASSERT_EQ(F32ToF16(f), expected) << chosen;
    }
  }
}
#endif

TEST(Fp16Test, BfloatRoundsToNearestEven) {
  EXPECT_EQ(F32ToBf16(1.0F), 0x3F80);
  EXPECT_EQ(F32ToBf16(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // a tie goes to even
  EXPECT_EQ(F32ToBf16(std::bit_cast<float>(0x3F818000U)), 0x3F82);
  EXPECT_EQ(F32ToBf16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(std::bit_cast<float>(0x7F800001U)))));
  for (uint32_t b = 0; b < 65536; ++b) {
    const float f = Bf16ToF32(static_cast<uint16_t>(b));
    if (!std::isnan(f)) {
      ASSERT_EQ(F32ToBf16(f), b);
    }
  }
}

}  // namespace
}  // namespace sluice
