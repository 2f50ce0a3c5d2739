#include "synth/block_type.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "base/fp16.h"

namespace sluice {
namespace {

void PutF16(std::byte* at, float value) {
  const uint16_t bits = F32ToF16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

// A scale of either sign: weights of -8..7 have a mean of -0.5, weights of both signs have none.
float EitherSign(float scale, RandomWords* random) {
  return random->Next() >> 63 == 0 ? scale : -scale;
}

template <int kBytes, typename Visit>
void ForBlocks(std::span<std::byte> blocks, const Visit& visit) {
  for (size_t i = 0; i + kBytes <= blocks.size(); i += kBytes) visit(&blocks[i]);
}

void FinishF32(std::span<std::byte> blocks, float scale, RandomWords* /*random*/) {
  ForBlocks<4>(blocks, [scale](std::byte* block) {
    int16_t bits = 0;
    std::memcpy(&bits, block, sizeof(bits));
    const float value = (static_cast<float>(bits) + 0.5F) * scale;
    std::memcpy(block, &value, sizeof(value));
  });
}

// 16-bit floats: one of 256 values each, from a table.
template <uint16_t (*kRound)(float)>
void FinishHalf(std::span<std::byte> blocks, float scale, RandomWords* /*random*/) {
  std::array<uint16_t, 256> values = {};
  for (int i = 0; i < 256; ++i) {
    values[static_cast<size_t>(i)] = kRound((static_cast<float>(i) - 127.5F) * scale);
  }
  ForBlocks<2>(blocks, [&values](std::byte* block) {
    std::memcpy(block, &values[std::to_integer<size_t>(*block)], sizeof(uint16_t));
  });
}

// Blocks that begin with their scale.
template <int kBytes>
void FinishScale(std::span<std::byte> blocks, float scale, RandomWords* random) {
  ForBlocks<kBytes>(blocks, [=](std::byte* block) { PutF16(block, EitherSign(scale, random)); });
}

void FinishBytes(std::span<std::byte> blocks, float scale, RandomWords* random) {
  // No quantizer makes -128, and kernels may rely on it.
  for (std::byte& b : blocks) b = b == std::byte{0x80} ? std::byte{0x81} : b;
  FinishScale<34>(blocks, scale, random);
}

// Blocks that begin with a scale and a minimum: `kMiddle` halves of a scale below zero.
template <int kBytes, int kMiddle>
void FinishScaleMin(std::span<std::byte> blocks, float scale, RandomWords* /*random*/) {
  ForBlocks<kBytes>(blocks, [scale](std::byte* block) {
    PutF16(block, scale);
    PutF16(block + 2, -0.5F * kMiddle * scale);
  });
}

// Q4_K and Q5_K: eight 6-bit scales and minima, each minimum equal to its scale, so that `dmin` of
// `kMiddle` halves of `d` moves the middle of every sub-block to zero.
template <int kBytes, int kMiddle>
void FinishSubBlocks(std::span<std::byte> blocks, float scale, RandomWords* random) {
  ForBlocks<kBytes>(blocks, [=](std::byte* block) {
    PutF16(block, scale);
    PutF16(block + 2, 0.5F * kMiddle * scale);
    const uint64_t word = random->Next();
    const auto low = static_cast<uint32_t>(word);  // scales 0-3, upper bits of scales 4-7
    // Lower bits of scales 4-7 in the low nibbles, of their minima in the high ones.
    const uint32_t nibbles = static_cast<uint32_t>(word >> 32) & 0x0F0F0F0FU;
    const uint32_t high = nibbles | (nibbles << 4);
    std::memcpy(block + 4, &low, 4);
    std::memcpy(block + 8, &low, 4);
    std::memcpy(block + 12, &high, 4);
  });
}

void FinishTwoBits(std::span<std::byte> blocks, float scale, RandomWords* random) {
  ForBlocks<84>(blocks, [=](std::byte* block) {
    random->Fill({block, 16});
    for (int i = 0; i < 16; ++i) {  // low nibble the scale, high nibble the minimum
      const std::byte low = block[i] & std::byte{15};
      block[i] = low | (low << 4);
    }
    PutF16(block + 80, scale);
    PutF16(block + 82, 1.5F * scale);
  });
}

// Scales of both signs inside the block: `kScales` bytes at `kAt`, the block's scale at `kScaleAt`.
template <int kBytes, int kAt, int kScales, int kScaleAt>
void FinishSigned(std::span<std::byte> blocks, float scale, RandomWords* random) {
  ForBlocks<kBytes>(blocks, [=](std::byte* block) {
    random->Fill({block + kAt, kScales});
    PutF16(block + kScaleAt, scale);
  });
}

void FinishMxfp4(std::span<std::byte> blocks, float scale, RandomWords* /*random*/) {
  // The scale is a power of two, and the values of the nibbles are doubled: 2^(e - 128).
  const int exponent = 128 + static_cast<int>(std::lround(std::log2(scale)));
  const auto e = static_cast<std::byte>(std::clamp(exponent, 1, 254));
  ForBlocks<17>(blocks, [e](std::byte* block) { *block = e; });
}

// unit_rms: of uniform integers a..b that is sqrt of the mean of their squares; of products with
// random 6-bit or 8-bit scales the product of both.
constexpr BlockType kTypes[] = {
    {Format::kF32, 18918.6, FinishF32},
    {Format::kF16, 73.9, FinishHalf<F32ToF16>},
    {Format::kBF16, 73.9, FinishHalf<F32ToBf16>},
    {Format::kQ8_0, 73.6, FinishBytes},
    {Format::kQ4_0, 4.64, FinishScale<18>},
    {Format::kQ4_1, 4.61, FinishScaleMin<20, 15>},
    {Format::kQ5_0, 9.25, FinishScale<22>},
    {Format::kQ5_1, 9.23, FinishScaleMin<24, 31>},
    {Format::kQ2_K, 9.84, FinishTwoBits},
    {Format::kQ3_K, 43.3, FinishSigned<110, 96, 12, 108>},
    {Format::kQ4_K, 168.3, FinishSubBlocks<144, 15>},
    {Format::kQ5_K, 337.2, FinishSubBlocks<176, 31>},
    {Format::kQ6_K, 1366, FinishSigned<210, 192, 16, 208>},
    {Format::kIQ4_NL, 67.4, FinishScale<18>},
    {Format::kIQ4_XS, 1246, FinishSigned<136, 2, 6, 0>},
    {Format::kMXFP4, 5.85, FinishMxfp4},
};

}  // namespace

const BlockType& BlockTypeOf(Format format) {
  const auto* found = std::ranges::find(kTypes, format, &BlockType::format);
  SLUICE_CHECK(found != std::end(kTypes));
  return *found;
}

void FillBlocks(const BlockType& type, double rms, RandomWords* bits, RandomWords* scales,
                std::span<std::byte> out) {
  bits->Fill(out);
  type.finish(out, static_cast<float>(rms / type.unit_rms), scales);
}

}  // namespace sluice
