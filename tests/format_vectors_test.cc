// Every format decodes bit for bit as the `gguf` package: tests/golden/formats.safetensors, written
// by make_format_vectors.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "safetensors_goldens.h"
#include "tensor/format.h"

namespace sluice {
namespace {

TEST(FormatVectorsTest, DecodesAsTheGgufPackage) {
  const Goldens goldens("tests/golden/formats.safetensors");
  ASSERT_TRUE(goldens.ok());
  for (const FormatSpec& spec : AllFormats()) {
    if (spec.format == Format::kF32) continue;  // the numbers themselves
    const std::string name = spec.name;
    ASSERT_TRUE(goldens.Has(name + ".bytes"))
        << name << " has no vectors: add it to make_format_vectors.py and run that";
    const auto bytes = goldens.Values<std::byte>(name + ".bytes");
    const auto expected = goldens.Values<float>(name + ".values");
    const auto blocks = static_cast<int64_t>(bytes.size()) / spec.block_bytes;
    ASSERT_EQ(static_cast<size_t>(blocks * spec.block_elements), expected.size());
    std::vector<float> actual(expected.size());
    spec.decode(bytes.data(), blocks, actual.data());
    for (size_t i = 0; i < actual.size(); ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(actual[i])) << name << " element " << i;
      } else {
        ASSERT_EQ(std::memcmp(&actual[i], &expected[i], sizeof(float)), 0)
            << name << " element " << i << ": " << actual[i] << " instead of " << expected[i];
      }
    }
  }
}

TEST(FormatTest, NamesAndNumbersFindEachOther) {
  std::set<uint32_t> types;
  for (const FormatSpec& spec : AllFormats()) {
    EXPECT_EQ(FormatOfGgufType(spec.gguf_type), spec.format);
    EXPECT_EQ(FormatByName(spec.name), spec.format);
    EXPECT_EQ(GgufTypeName(spec.gguf_type), spec.name);
    EXPECT_TRUE(types.insert(spec.gguf_type).second);
    int unit_bytes = 0;  // the fields cover the block
    for (const FormatField& field : spec.fields) unit_bytes += field.count * field.width;
    EXPECT_EQ(unit_bytes, spec.block_bytes) << spec.name;
  }
  EXPECT_FALSE(FormatOfGgufType(16).has_value());
  EXPECT_EQ(GgufTypeName(16), "IQ2_XXS");
}

}  // namespace
}  // namespace sluice
