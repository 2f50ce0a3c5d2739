// Expected values by hand: where a step rounds, and what counts as zero.
#include "tensor/bf16_activation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

TEST(FlushingFmaTest, RoundsOnceToNearestEven) {
  EXPECT_EQ(FlushingFma(1.0F, 0x1p-24F, 1.0F), 1.0F);                // half an ulp: to even
  EXPECT_EQ(FlushingFma(0x1.02p0F, 0x1p-24F, 1.0F), 0x1.000002p0F);  // a little more: up
  EXPECT_EQ(FlushingFma(0x1.02p0F, 0x1.02p0F, -0x1.04p0F), 0x1p-14F);
  EXPECT_EQ(FlushingFma(0x1p127F, 2.0F, -0x1p127F), 0x1p127F);  // no overflow between
}

TEST(FlushingFmaTest, SubnormalNumbersAreZeros) {
  EXPECT_EQ(FlushingFma(0x1p-127F, 0x1p120F, 3.0F), 3.0F);
  EXPECT_EQ(FlushingFma(0x1p120F, -0x1p-127F, 3.0F), 3.0F);
  EXPECT_EQ(FlushingFma(0x1p-63F, 0x1p-63F, 0x1p-130F), 0x1p-126F);
  const float flushed = FlushingFma(-0x1p-63F, 0x1p-64F, 0.0F);
  EXPECT_EQ(flushed, 0.0F);
  EXPECT_TRUE(std::signbit(flushed));
}

TEST(FlushingFmaTest, WhatRoundsUpToTheSmallestNormalNumberStays) {
  // In 24 bits 2^-126 - 2^-150 is exact, and subnormal; 2^-126 - 2^-151 lies in the middle.
  EXPECT_EQ(FlushingFma(-0x1p-75F, 0x1p-75F, 0x1p-126F), 0.0F);
  EXPECT_EQ(FlushingFma(-0x1p-75F, 0x1p-76F, 0x1p-126F), 0x1p-126F);
  EXPECT_EQ(FlushingFma(-0x1.02p-75F, 0x1p-76F, 0x1p-126F), 0.0F);
}

TEST(RoundBf16Test, RoundsToNearestEvenAndFillsThePair) {
  const float x[] = {1.0F, 0x1.01p0F, 0x1.03p0F, -0x1.00ffp0F, NAN};
  uint16_t out[32] = {};
  RoundBf16(x, 5, out);
  EXPECT_EQ(out[0], 0x3F80);
  EXPECT_EQ(out[1], 0x3F80);
  EXPECT_EQ(out[2], 0x3F82);
  EXPECT_EQ(out[3], 0xBF80);
  EXPECT_TRUE(std::isnan(Bf16ToF32(out[4])));
  EXPECT_EQ(out[5], kBf16Padding);
}

}  // namespace
}  // namespace sluice
