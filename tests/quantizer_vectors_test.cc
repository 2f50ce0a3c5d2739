// Quantizers against the `gguf` package and against a search of scales in numpy:
// quantizers.safetensors, written by tests/golden/make_quantizer_vectors.py.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "quantize/quantize.h"
#include "safetensors_goldens.h"

namespace sluice {
namespace {

constexpr char kGoldens[] = "tests/golden/quantizers.safetensors";

std::vector<std::byte> Encoded(Format format, const std::vector<float>& x) {
  const FormatSpec& spec = Spec(format);
  std::vector<std::byte> bytes(static_cast<size_t>(spec.row_bytes(std::ssize(x))));
  Quantize(format, x.data(), std::ssize(x) / spec.block_elements, bytes.data());
  return bytes;
}

std::vector<float> RoundTrip(Format format, const std::vector<float>& x) {
  const FormatSpec& spec = Spec(format);
  std::vector<float> decoded(x.size());
  spec.decode(Encoded(format, x).data(), std::ssize(x) / spec.block_elements, decoded.data());
  return decoded;
}

double RootMeanSquare(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST(QuantizeTest, RoundedFormatsHaveTheBytesOfTheGgufPackage) {
  const Goldens goldens(kGoldens);
  ASSERT_TRUE(goldens.ok());
  int formats = 0;
  for (const FormatSpec& spec : AllFormats()) {
    const std::string name = spec.name;
    if (!goldens.Has(name + ".bytes")) continue;
    ++formats;
    EXPECT_EQ(Encoded(spec.format, goldens.Values<float>("weights")),
              goldens.Values<std::byte>(name + ".bytes"))
        << name;
    EXPECT_EQ(Encoded(spec.format, goldens.Values<float>("edges")),
              goldens.Values<std::byte>(name + ".edges"))
        << name;
  }
  EXPECT_EQ(formats, 7);
}

TEST(QuantizeTest, SearchedFormatsAreNoWorseThanAPlainSearch) {
  const Goldens goldens(kGoldens);
  ASSERT_TRUE(goldens.ok());
  const auto weights = goldens.Values<float>("weights");
  int formats = 0;
  for (const FormatSpec& spec : AllFormats()) {
    const std::string name = spec.name;
    if (!goldens.Has(name + ".error")) continue;
    ++formats;
    const double error = RootMeanSquare(weights, RoundTrip(spec.format, weights));
    RecordProperty(name, std::to_string(error));
    EXPECT_LE(error, static_cast<double>(goldens.Values<float>(name + ".error")[0])) << name;
  }
  EXPECT_EQ(formats, 8);
}

// What a format can hold exactly comes back exactly: decoding, then encoding, changes nothing much.
TEST(QuantizeTest, DecodedBlocksLoseHardlyAnythingAgain) {
  const Goldens goldens(kGoldens);
  ASSERT_TRUE(goldens.ok());
  const auto weights = goldens.Values<float>("weights");
  for (const FormatSpec& spec : AllFormats()) {
    const std::vector<float> once = RoundTrip(spec.format, weights);
    const double first = RootMeanSquare(weights, once);
    EXPECT_LE(RootMeanSquare(once, RoundTrip(spec.format, once)), 0.5 * first) << spec.name;
  }
}

TEST(QuantizeTest, DifficultBlocksStayFinite) {
  std::vector<std::vector<float>> rows;
  rows.emplace_back(256, 0.0F);
  rows.emplace_back(256, -3.0F);
  rows.emplace_back(256, 1e-30F);
  rows.emplace_back(256, 6e4F);
  rows.emplace_back(256, 0.0F);
  rows.back()[200] = -1.0F;
  std::mt19937 random(1);
  for (const float size : {1e-12F, 1e-4F, 1e3F}) {
    rows.emplace_back();
    for (int i = 0; i < 256; ++i) {
      rows.back().push_back(size * (static_cast<float>(random()) / 4e9F - 0.5F));
    }
  }
  for (const FormatSpec& spec : AllFormats()) {
    for (const std::vector<float>& row : rows) {
      const double size = RootMeanSquare(row, std::vector<float>(256));
      const double error = RootMeanSquare(row, RoundTrip(spec.format, row));
      // Formats with a minimum have no positive one: rows without a zero cost them most.
      EXPECT_LE(error, size) << spec.name << " " << row[0];
    }
  }
}

}  // namespace
}  // namespace sluice
