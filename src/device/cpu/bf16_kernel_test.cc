// The BF16 kernels that the devices may choose from, each against the definition: a device uses the
// one that is faster on this machine, so its own test sees no other.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "device/cpu/kernels.h"
#include "device/cpu/row_group.h"

namespace sluice {
namespace {

void CompareWithDefinition(const Bf16Kernel& kernel) {
  std::mt19937 random(3);
  const FormatSpec& spec = Spec(Format::kBF16);
  for (const int64_t cols : {1, 2, 7, 64, 129}) {
    // Exponents around 2^-63 for both, so that products and sums become subnormal, and others.
    const auto number = [&] {
      const uint32_t exponent = random() % 8 == 0 ? random() % 130 : 58 + random() % 12;
      return static_cast<uint16_t>((random() & 0x807FU) | (exponent << 7));
    };
    std::vector<uint16_t> file(static_cast<size_t>(kGroupRows * cols));
    for (uint16_t& w : file) w = number();
    std::vector<std::byte> group(file.size() * 2);
    PackGroup(spec, kGroupRows, cols, reinterpret_cast<const std::byte*>(file.data()),
              group.data());
    std::vector<std::vector<uint16_t>> exact(kTileColumns);
    std::vector<std::vector<std::byte>> rounded(kTileColumns);
    const std::byte* x[kTileColumns];
    for (size_t c = 0; c < kTileColumns; ++c) {
      std::vector<float> values(static_cast<size_t>(cols));
      for (float& v : values) v = Bf16ToF32(number());
      exact[c].resize(static_cast<size_t>(cols) + 1);
      RoundBf16(values.data(), cols, exact[c].data());
      rounded[c].resize(static_cast<size_t>((cols + 1) * kBf16ActivationBytes));
      kernel.round(values.data(), cols, rounded[c].data());
      x[c] = rounded[c].data();
    }
    for (int columns = 1; columns <= kTileColumns; ++columns) {
      float results[kTileColumns][kGroupRows];
      float* out[kTileColumns];
      for (int c = 0; c < columns; ++c) out[c] = results[c];
      kernel.tile(group.data(), cols, x, columns, out);
      for (int c = 0; c < columns; ++c) {
        for (int64_t row = 0; row < kGroupRows; ++row) {
          const auto* weights = reinterpret_cast<const std::byte*>(file.data() + row * cols);
          const float expected = spec.dot_bf16(weights, cols, exact[static_cast<size_t>(c)].data());
          ASSERT_EQ(std::memcmp(&expected, &results[c][row], sizeof(float)), 0)
              << cols << " cols, column " << c << " of " << columns << ", row " << row << ": "
              << results[c][row] << " instead of " << expected;
        }
      }
    }
  }
}

TEST(Bf16KernelTest, Vdpbf16psDoesAsDefined) {
  const std::optional<Bf16Kernel> kernel = Avx512Bf16Kernel();
  if (!kernel.has_value()) GTEST_SKIP() << "no AVX-512 BF16 on this machine";
  CompareWithDefinition(*kernel);
}

TEST(Bf16KernelTest, MultiplyAddsDoAsDefined) {
  if (Avx2Kernels() == nullptr) GTEST_SKIP() << "no AVX2 on this machine";
  CompareWithDefinition(Avx2Kernels()->bf16);
}

TEST(Bf16KernelTest, TheChosenOneDoesAsDefined) {
  if (Avx512Kernels() == nullptr) GTEST_SKIP() << "no AVX-512 on this machine";
  CompareWithDefinition(Avx512Kernels()->bf16);
}

}  // namespace
}  // namespace sluice
