// A conversion that was interrupted goes on only if the program still encodes alike
// (kEncoderVersion in convert/conversion.cc). This notices when it does not.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "quantize/quantize.h"

namespace sluice {
namespace {

uint64_t Fnv(const std::vector<std::byte>& bytes, uint64_t hash) {
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001B3;
  return hash;
}

TEST(EncodedBytesTest, AreWhatTheEncoderVersionSays) {
  constexpr int64_t kNumbers = 4096;
  std::mt19937 random(1);  // the standard says which numbers it gives
  std::vector<float> numbers;
  for (int64_t i = 0; i < kNumbers; ++i) {
    // Sums of bytes are nearly normal, and exact.
    const uint32_t bits = random();
    const auto sum = static_cast<int>((bits & 255U) + (bits >> 8 & 255U) + (bits >> 16 & 255U));
    numbers.push_back(static_cast<float>(sum - 382) / 4096.0F);
  }
  uint64_t hash = 0xCBF29CE484222325;
  for (const FormatSpec& spec : AllFormats()) {
    std::vector<std::byte> encoded(static_cast<size_t>(spec.row_bytes(kNumbers)));
    Quantize(spec.format, numbers.data(), kNumbers / spec.block_elements, encoded.data());
    hash = Fnv(encoded, hash);
  }
  EXPECT_EQ(hash, 0xF29584DEA4724A52U)
      << std::hex << hash << ": if the formats are right (quantizer_vectors_test), "
      << "raise kEncoderVersion in convert/conversion.cc, and write this here";
}

}  // namespace
}  // namespace sluice
