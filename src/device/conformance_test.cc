// Every device against the reference, over every format and odd shapes. Products must be equal bit
// for bit: that is what makes output independent of where it is computed on the CPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/fp16.h"
#include "device/device.h"
#include "device/kv_codec.h"
#include "device/math.h"

namespace sluice {
namespace {

// Random bytes are valid blocks of every format; scales get sane exponents, quants anything.
std::vector<std::byte> RandomWeights(Format format, int64_t rows, int64_t cols,
                                     std::mt19937* random) {
  const FormatSpec& spec = Spec(format);
  std::vector<std::byte> bytes(static_cast<size_t>(rows * spec.row_bytes(cols)));
  for (std::byte& b : bytes) b = static_cast<std::byte>((*random)());
  for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(spec.block_bytes)) {
    for (const FormatField& field : spec.fields) {
      for (int i = 0; i < field.count; ++i) {
        std::byte* place = bytes.data() + at + field.offset + ptrdiff_t{i} * field.width;
        const float value = std::ldexp(1.0F + static_cast<float>((*random)() % 100) / 100, -6);
        const float either = (*random)() % 2 == 0 ? value : -value;
        if (field.width == 1) {  // MXFP4's exponent
          *place = static_cast<std::byte>(118 + (*random)() % 8);
        } else if (field.width == 2 && !(format == Format::kIQ4_XS && i == 1)) {
          const uint16_t half = format == Format::kBF16 ? F32ToBf16(either) : F32ToF16(either);
          std::memcpy(place, &half, 2);
        } else if (format == Format::kF32) {
          std::memcpy(place, &either, 4);
        }
      }
    }
  }
  return bytes;
}

std::vector<float> RandomFloats(int64_t count, std::mt19937* random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = normal(*random);
  return values;
}

// A matrix in the file's layout and packed for a device, which may pack in place.
struct Packed {
  std::vector<std::byte> file;
  std::vector<std::byte> device;
  WeightView file_view;
  WeightView device_view;

  Packed(const Device& target, Format format, int64_t rows, int64_t cols, std::mt19937* random)
      : file(RandomWeights(format, rows, cols, random)), device(file.size() + 4096) {
    const int64_t lead = 40;  // raw bytes a little behind: as a slot gets them from the disk
    std::memcpy(device.data() + lead, file.data(), file.size());
    target.Pack(format, rows, cols, device.data() + lead, device.data());
    file_view = {.bytes = file.data(), .format = format, .rows = rows, .cols = cols};
    device_view = {.bytes = device.data(), .format = format, .rows = rows, .cols = cols};
  }
};

class ConformanceTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto device = CreateDevice(GetParam(), &pool_);
    if (!device.ok()) GTEST_SKIP() << device.status().message();
    device_ = std::move(device).value();
    reference_ = CreateDevice("reference", &pool_).value();
  }

  std::mt19937 random_{42};
  ThreadPool pool_{2};
  std::unique_ptr<Device> device_;
  std::unique_ptr<Device> reference_;
};

TEST_P(ConformanceTest, ProductsAreEqualBitForBit) {
  for (const FormatSpec& spec : AllFormats()) {
    const bool numbers = spec.block_elements == 1;
    for (const int64_t rows : {1, 15, 16, 17, 70}) {
      for (const int64_t blocks : {1, 2, 3, 5}) {
        const int64_t cols = numbers ? 15 * blocks + 2 : spec.block_elements * blocks;
        const Packed weight(*device_, spec.format, rows, cols, &random_);
        for (const int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 21}) {
          const std::vector<float> x = RandomFloats(tokens * cols, &random_);
          std::vector<float> expected(static_cast<size_t>(tokens * rows));
          std::vector<float> actual(expected.size());
          const Product reference{.weight = weight.file_view, .out = expected.data()};
          const Product product{.weight = weight.device_view, .out = actual.data()};
          reference_->ops().MatMul(x.data(), tokens, {&reference, 1});
          device_->ops().MatMul(x.data(), tokens, {&product, 1});
          ASSERT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * 4), 0)
              << spec.name << " rows " << rows << " cols " << cols << " tokens " << tokens;
        }
      }
    }
  }
}

// Equal bits, or both NaN.
void ExpectSame(const std::vector<float>& expected, const std::vector<float>& actual,
                const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    ASSERT_EQ(std::memcmp(&expected[i], &actual[i], sizeof(float)), 0)
        << what << " element " << i << ": " << actual[i] << " instead of " << expected[i];
  }
}

TEST_P(ConformanceTest, HostileActivationsStayDefined) {
  for (const FormatSpec& spec : AllFormats()) {
    const int64_t cols = 256;
    const Packed weight(*device_, spec.format, 16, cols, &random_);
    for (const float poison : {NAN, INFINITY, -INFINITY, 3.4e38F, 1e38F, 1e-42F}) {
      std::vector<float> x = RandomFloats(cols, &random_);
      x[37] = poison;
      std::vector<float> expected(16);
      std::vector<float> actual(16);
      const Product reference{.weight = weight.file_view, .out = expected.data()};
      const Product product{.weight = weight.device_view, .out = actual.data()};
      reference_->ops().MatMul(x.data(), 1, {&reference, 1});
      device_->ops().MatMul(x.data(), 1, {&product, 1});
      ExpectSame(expected, actual, std::string(spec.name) + " times " + std::to_string(poison));
    }
  }
}

// Any bytes: scales that are infinite, NaN, subnormal or huge.
TEST_P(ConformanceTest, HostileWeightsStayDefined) {
  for (const FormatSpec& spec : AllFormats()) {
    const int64_t rows = 33;
    const int64_t cols = spec.block_elements * 3;
    for (int round = 0; round < 20; ++round) {
      Packed weight(*device_, spec.format, rows, cols, &random_);
      for (std::byte& b : weight.file) b = static_cast<std::byte>(random_());
      device_->Pack(spec.format, rows, cols, weight.file.data(), weight.device.data());
      const int64_t tokens = 3;
      const std::vector<float> x = RandomFloats(tokens * cols, &random_);
      std::vector<float> expected(static_cast<size_t>(tokens * rows));
      std::vector<float> actual(expected.size());
      const Product reference{.weight = weight.file_view, .out = expected.data()};
      const Product product{.weight = weight.device_view, .out = actual.data()};
      reference_->ops().MatMul(x.data(), tokens, {&reference, 1});
      device_->ops().MatMul(x.data(), tokens, {&product, 1});
      ExpectSame(expected, actual, spec.name);
    }
  }
}

// Subnormal weights, activations, sums and results, next to numbers that are not.
TEST_P(ConformanceTest, Bf16CountsSubnormalNumbersAsZero) {
  const int64_t rows = 16;
  const int64_t cols = 31;
  for (int round = 0; round < 50; ++round) {
    Packed weight(*device_, Format::kBF16, rows, cols, &random_);
    std::vector<uint16_t> numbers(static_cast<size_t>(rows * cols));
    for (uint16_t& w : numbers) {  // exponents from subnormal to 2^-56
      w = static_cast<uint16_t>((random_() & 0x807FU) | (random_() % 72 << 7));
    }
    std::memcpy(weight.file.data(), numbers.data(), weight.file.size());
    device_->Pack(Format::kBF16, rows, cols, weight.file.data(), weight.device.data());
    std::vector<float> x(static_cast<size_t>(cols));
    for (float& v : x) {
      v = std::ldexp(1.0F + static_cast<float>(random_() % 256) / 256,
                     -static_cast<int>(random_() % 150));
    }
    std::vector<float> expected(rows);
    std::vector<float> actual(rows);
    const Product reference{.weight = weight.file_view, .out = expected.data()};
    const Product product{.weight = weight.device_view, .out = actual.data()};
    reference_->ops().MatMul(x.data(), 1, {&reference, 1});
    device_->ops().MatMul(x.data(), 1, {&product, 1});
    ASSERT_EQ(std::memcmp(expected.data(), actual.data(), rows * sizeof(float)), 0) << round;
  }
}

TEST_P(ConformanceTest, EmbeddingsAreTheDecodedRows) {
  for (const FormatSpec& spec : AllFormats()) {
    const int64_t cols = std::max(spec.block_elements, 32) * 3;
    const Packed table(*device_, spec.format, 37, cols, &random_);
    const std::vector<int32_t> tokens = {0, 15, 16, 36, 3};
    std::vector<float> expected(tokens.size() * static_cast<size_t>(cols));
    std::vector<float> actual(expected.size());
    reference_->ops().Embed(table.file_view, tokens, expected.data());
    device_->ops().Embed(table.device_view, tokens, actual.data());
    EXPECT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * 4), 0) << spec.name;
  }
}

TEST_P(ConformanceTest, ExpertsAreEqualBitForBit) {
  for (const Format format : {Format::kF32, Format::kBF16, Format::kQ8_0, Format::kQ4_0}) {
    const int64_t hidden = 96;
    const int64_t ff = 160;
    const int64_t tokens = 9;
    const int64_t top_k = 3;
    std::vector<std::unique_ptr<Packed>> weights;
    std::vector<std::vector<int32_t>> chosen(5);
    for (int32_t a = 0; a < tokens * top_k; ++a) chosen[static_cast<size_t>(a % 5)].push_back(a);
    std::vector<ExpertCall> reference_calls;
    std::vector<ExpertCall> calls;
    for (const auto& assignments : chosen) {
      for (int m = 0; m < 3; ++m) {
        weights.push_back(std::make_unique<Packed>(*device_, format, m < 2 ? ff : hidden,
                                                   m < 2 ? hidden : ff, &random_));
      }
      const auto at = weights.size() - 3;
      reference_calls.push_back({.weights = {weights[at]->file_view, weights[at + 1]->file_view,
                                             weights[at + 2]->file_view},
                                 .assignments = assignments});
      calls.push_back({.weights = {weights[at]->device_view, weights[at + 1]->device_view,
                                   weights[at + 2]->device_view},
                       .assignments = assignments});
    }
    const std::vector<float> x = RandomFloats(tokens * hidden, &random_);
    std::vector<float> expected(static_cast<size_t>(tokens * top_k * hidden));
    std::vector<float> actual(expected.size());
    reference_->ops().StageExpertInput(x.data(), tokens, hidden);
    reference_->ops().ExpertFfn(reference_calls, top_k, expected.data());
    device_->ops().StageExpertInput(x.data(), tokens, hidden);
    device_->ops().ExpertFfn(calls, top_k, actual.data());
    EXPECT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * 4), 0)
        << Spec(format).name;
  }
}

// Experts as files have them: formats mixed within one, and widths that no block of 256 divides.
TEST_P(ConformanceTest, MixedExpertsAreEqualBitForBit) {
  struct Mixture {
    int64_t hidden, ff;
    Format gate, up, down;
  };
  for (const Mixture& m : {Mixture{512, 1408, Format::kQ4_K, Format::kQ5_K, Format::kQ5_0},
                           Mixture{256, 1408, Format::kQ6_K, Format::kIQ4_XS, Format::kQ5_1},
                           Mixture{288, 2880, Format::kMXFP4, Format::kBF16, Format::kMXFP4},
                           Mixture{2880, 96, Format::kMXFP4, Format::kIQ4_NL, Format::kBF16}}) {
    const Packed gate(*device_, m.gate, m.ff, m.hidden, &random_);
    const Packed up(*device_, m.up, m.ff, m.hidden, &random_);
    const Packed down(*device_, m.down, m.hidden, m.ff, &random_);
    const std::vector<int32_t> assignments = {0, 1, 2};
    const ExpertCall reference_call{.weights = {gate.file_view, up.file_view, down.file_view},
                                    .assignments = assignments};
    const ExpertCall call{.weights = {gate.device_view, up.device_view, down.device_view},
                          .assignments = assignments};
    const std::vector<float> x = RandomFloats(3 * m.hidden, &random_);
    std::vector<float> expected(x.size());
    std::vector<float> actual(x.size());
    reference_->ops().StageExpertInput(x.data(), 3, m.hidden);
    reference_->ops().ExpertFfn({&reference_call, 1}, 1, expected.data());
    device_->ops().StageExpertInput(x.data(), 3, m.hidden);
    device_->ops().ExpertFfn({&call, 1}, 1, actual.data());
    ExpectSame(expected, actual, Spec(m.down).name);
  }
}

TEST_P(ConformanceTest, NormRopeAndCombineAgree) {
  const int64_t tokens = 5;
  const int64_t cols = 100;
  const std::vector<float> x = RandomFloats(tokens * cols, &random_);
  const std::vector<float> weight = RandomFloats(cols, &random_);
  std::vector<float> expected(x.size());
  std::vector<float> actual(x.size());
  reference_->ops().RmsNorm(x.data(), tokens, cols, weight.data(), 1e-6F, expected.data());
  device_->ops().RmsNorm(x.data(), tokens, cols, weight.data(), 1e-6F, actual.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(expected[i], actual[i], 2e-6F);

  for (const RopeStyle style : {RopeStyle::kHalves, RopeStyle::kPairs}) {
    std::vector<float> a = x;
    std::vector<float> b = x;
    const std::vector<float> cosine = RandomFloats(tokens * 10, &random_);
    const std::vector<float> sine = RandomFloats(tokens * 10, &random_);
    reference_->ops().Rope(a.data(), tokens, 5, 20, {cosine.data(), sine.data(), style});
    device_->ops().Rope(b.data(), tokens, 5, 20, {cosine.data(), sine.data(), style});
    EXPECT_EQ(a, b);
  }

  Routing routing{
      .tokens = tokens, .top_k = 2, .experts = {}, .weights = RandomFloats(10, &random_)};
  const std::vector<float> expert_out = RandomFloats(tokens * 2 * cols, &random_);
  std::vector<float> a = x;
  std::vector<float> b = x;
  reference_->ops().Combine(routing, expert_out.data(), cols, a.data());
  device_->ops().Combine(routing, expert_out.data(), cols, b.data());
  EXPECT_EQ(a, b);
}

TEST_P(ConformanceTest, AttentionAgreesInEveryKvFormat) {
  const int64_t heads = 6;
  const int64_t page_tokens = 64;
  const int32_t length = 150;
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16, KvFormat::kQ8_0}) {
    KvLayout layout{.format = format, .kv_heads = 2, .head_dim = 32, .page_tokens = page_tokens};
    layout.layer_offset = layout.layer_bytes();  // the second layer of the page
    std::vector<std::vector<std::byte>> memory(
        3, std::vector<std::byte>(static_cast<size_t>(2 * layout.layer_bytes())));
    std::vector<std::byte*> pages;
    for (auto& page : memory) pages.push_back(page.data());
    std::vector<KvPlace> places;
    for (int32_t p = 0; p < length; ++p) places.push_back({.pages = pages.data(), .position = p});
    const int64_t kv_size = layout.kv_heads * layout.head_dim;
    const std::vector<float> k = RandomFloats(length * kv_size, &random_);
    const std::vector<float> v = RandomFloats(length * kv_size, &random_);
    device_->ops().AppendKv(layout, places, k.data(), v.data());
    const std::vector<float> q = RandomFloats(length * heads * layout.head_dim, &random_);
    std::vector<float> expected(q.size());
    std::vector<float> actual(q.size());
    std::vector<float> alone(q.size());
    reference_->ops().Attend(layout, places, q.data(), heads, 0.2F, expected.data());
    device_->ops().Attend(layout, places, q.data(), heads, 0.2F, actual.data());
    for (size_t i = 0; i < q.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 3e-6F) << i;
    for (size_t t = 0; t < places.size(); ++t) {  // one by one: the same bits
      const int64_t offset = static_cast<int64_t>(t) * heads * layout.head_dim;
      device_->ops().Attend(layout, {&places[t], 1}, q.data() + offset, heads, 0.2F,
                            alone.data() + offset);
    }
    EXPECT_EQ(actual, alone);
  }
}

TEST_P(ConformanceTest, RoutesTiesToTheLowerId) {
  const std::vector<float> logits = {1, 3, 3, 2, 0, 3, 0, 0, 0, 0, 0, 0};
  Routing routing;
  device_->ops().Route(logits.data(), 2, 6, 3, RouterRule::kSoftmaxRenormalised, &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{1, 2, 5, 0, 1, 2}));
  EXPECT_NEAR(routing.weights[0] + routing.weights[1] + routing.weights[2], 1.0F, 1e-6F);
  device_->ops().Route(logits.data(), 2, 6, 3, RouterRule::kSoftmax, &routing);
  EXPECT_NEAR(routing.weights[3], 1.0F / 6, 1e-6F);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConformanceTest, ::testing::Values("avx512", "avx2", "reference"),
                         [](const auto& param) { return param.param; });

TEST(MathTest, ExpIsWithinTwoUlps) {
  for (float x = -86.9F; x < 87.9F; x += 0.00123F) {
    const double exact = std::exp(static_cast<double>(x));
    EXPECT_NEAR(Exp(x) / exact, 1.0, 2.5e-7) << x;
  }
  EXPECT_EQ(Exp(-200), 0.0F);
  EXPECT_EQ(Exp(200), INFINITY);
  EXPECT_EQ(Exp(-INFINITY), 0.0F);
  EXPECT_TRUE(std::isnan(Exp(NAN)));
  EXPECT_EQ(Exp(0), 1.0F);
}

TEST(DeviceTest, UnknownNamesAreAnswered) {
  ThreadPool pool(1);
  const auto device = CreateDevice("abacus", &pool);
  ASSERT_FALSE(device.ok());
  EXPECT_NE(device.status().message().find("reference"), std::string::npos);
}

}  // namespace
}  // namespace sluice
