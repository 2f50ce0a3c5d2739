// Every device against the reference, over every format and odd shapes. Products must be equal bit
// for bit: that is what makes output independent of where it is computed on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
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
        for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 18, 31, 44, 58}) {
          const std::vector<float> x = RandomFloats(tokens * cols, &random_);
          std::vector<float> expected(static_cast<size_t>(tokens * rows));
          std::vector<float> actual(expected.size());
          const std::vector<float> bias = RandomFloats(rows, &random_);
          const float* added = tokens % 2 == 0 ? bias.data() : nullptr;
          const Product reference{
              .weight = weight.file_view, .bias = added, .out = expected.data()};
          const Product product{.weight = weight.device_view, .bias = added, .out = actual.data()};
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
      for (const int64_t tokens : {1, 20, 41}) {
        std::vector<float> x = RandomFloats(tokens * cols, &random_);
        x[37] = poison;
        std::vector<float> expected(static_cast<size_t>(tokens * 16));
        std::vector<float> actual(expected.size());
        const Product reference{.weight = weight.file_view, .out = expected.data()};
        const Product product{.weight = weight.device_view, .out = actual.data()};
        reference_->ops().MatMul(x.data(), tokens, {&reference, 1});
        device_->ops().MatMul(x.data(), tokens, {&product, 1});
        ExpectSame(expected, actual, std::string(spec.name) + " times " + std::to_string(poison));
        if (std::isfinite(poison)) continue;
        // Else nobody would learn that a number was lost.
        EXPECT_TRUE(std::all_of(actual.begin(), actual.begin() + 16,
                                [](float y) { return !std::isfinite(y); }))
            << spec.name << " times " << poison;
      }
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
      const int64_t tokens = round % 3 == 0 ? 3 : round % 3 == 1 ? 20 : 41;
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
    const bool clamped = format == Format::kBF16 || format == Format::kQ8_0;  // with biases
    const FfnActivation activation =
        clamped ? FfnActivation::kClampedSwiGlu : FfnActivation::kSwiGlu;
    const std::vector<float> bias = RandomFloats(ff, &random_);
    const ExpertBiases biases =
        clamped ? ExpertBiases{bias.data(), bias.data(), bias.data()} : ExpertBiases{};
    const int64_t tokens = 33;
    const int64_t top_k = 3;
    std::vector<std::unique_ptr<Packed>> weights;
    // Few and many assignments, by tiles and by panels.
    std::vector<std::vector<int32_t>> chosen;
    int32_t next = 0;
    for (const int count : {3, 7, 18, 45, 26}) {
      chosen.emplace_back();
      for (int i = 0; i < count; ++i) chosen.back().push_back(next++);
    }
    ASSERT_EQ(next, tokens * top_k);
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
                                 .biases = biases,
                                 .assignments = assignments});
      calls.push_back({.weights = {weights[at]->device_view, weights[at + 1]->device_view,
                                   weights[at + 2]->device_view},
                       .biases = biases,
                       .assignments = assignments});
    }
    std::vector<float> x = RandomFloats(tokens * hidden, &random_);
    for (float& value : x) value *= 8;  // so that the clamps of the activation are reached
    std::vector<float> expected(static_cast<size_t>(tokens * top_k * hidden));
    std::vector<float> actual(expected.size());
    reference_->ops().StageExpertInput(x.data(), tokens, hidden);
    reference_->ops().ExpertFfn(reference_calls, top_k, activation, expected.data());
    device_->ops().StageExpertInput(x.data(), tokens, hidden);
    device_->ops().ExpertFfn(calls, top_k, activation, actual.data());
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
    for (const int32_t tokens : {3, 9}) {
      std::vector<int32_t> assignments(static_cast<size_t>(tokens));
      std::iota(assignments.begin(), assignments.end(), 0);
      const ExpertCall reference_call{.weights = {gate.file_view, up.file_view, down.file_view},
                                      .assignments = assignments};
      const ExpertCall call{.weights = {gate.device_view, up.device_view, down.device_view},
                            .assignments = assignments};
      const std::vector<float> x = RandomFloats(tokens * m.hidden, &random_);
      std::vector<float> expected(x.size());
      std::vector<float> actual(x.size());
      reference_->ops().StageExpertInput(x.data(), tokens, m.hidden);
      reference_->ops().ExpertFfn({&reference_call, 1}, 1, FfnActivation::kSwiGlu, expected.data());
      device_->ops().StageExpertInput(x.data(), tokens, m.hidden);
      device_->ops().ExpertFfn({&call, 1}, 1, FfnActivation::kSwiGlu, actual.data());
      ExpectSame(expected, actual, Spec(m.down).name);
    }
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
  reference_->ops().LayerNorm(x.data(), tokens, cols, weight.data(), 1e-5F, expected.data());
  device_->ops().LayerNorm(x.data(), tokens, cols, weight.data(), 1e-5F, actual.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(expected[i], actual[i], 2e-6F);

  for (const RopeStyle style : {RopeStyle::kHalves, RopeStyle::kPairs}) {
    for (const int64_t first : {0, 6}) {
      std::vector<float> a = x;
      std::vector<float> b = x;
      const int64_t dims = 20 - first - first % 4;
      const std::vector<float> cosine = RandomFloats(tokens * dims / 2, &random_);
      const std::vector<float> sine = RandomFloats(tokens * dims / 2, &random_);
      const RopeAngles angles{.cosine = cosine.data(),
                              .sine = sine.data(),
                              .style = style,
                              .first = first,
                              .dims = dims};
      reference_->ops().Rope(a.data(), tokens, 5, 20, angles);
      device_->ops().Rope(b.data(), tokens, 5, 20, angles);
      EXPECT_EQ(a, b);
      for (size_t i = 0; i < a.size(); ++i) {  // what lies outside the range stays
        const auto place = static_cast<int64_t>(i % 20);
        if (place < first || place >= first + dims) {
          EXPECT_EQ(a[i], x[i]);
        }
      }
    }
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

// Kinds of attention that models have.
struct AttentionCase {
  int64_t heads;
  int64_t kv_heads;
  int64_t key_dim;
  int64_t value_dim;
  KvValues values;
  int64_t window;
  bool sinks;
};

TEST_P(ConformanceTest, AttentionAgreesInEveryKvFormat) {
  constexpr int32_t kLength = 150;
  const AttentionCase cases[] = {
      {6, 2, 32, 32, KvValues::kOwn, 0, false},
      {6, 2, 32, 32, KvValues::kOwn, 70, true},
      {20, 1, 96, 64, KvValues::kInKeys, 0, false},  // latent
  };
  for (const AttentionCase& c : cases) {
    for (const KvFormat format :
         {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16, KvFormat::kQ8_0}) {
      KvLayout layout{.format = format,
                      .kv_heads = c.kv_heads,
                      .key_dim = c.key_dim,
                      .value_dim = c.value_dim,
                      .values = c.values,
                      .page_tokens = 64};
      layout.layer_offset = layout.layer_bytes();  // the second layer of the page
      std::vector<std::vector<std::byte>> memory(
          3, std::vector<std::byte>(static_cast<size_t>(2 * layout.layer_bytes())));
      std::vector<std::byte*> pages;
      for (auto& page : memory) pages.push_back(page.data());
      std::vector<KvPlace> places;
      for (int32_t p = 0; p < kLength; ++p)
        places.push_back({.pages = pages.data(), .position = p});
      const std::vector<float> k = RandomFloats(kLength * c.kv_heads * c.key_dim, &random_);
      const std::vector<float> v = RandomFloats(kLength * c.kv_heads * c.value_dim, &random_);
      device_->ops().AppendKv(layout, places, k.data(),
                              c.values == KvValues::kOwn ? v.data() : nullptr);
      const std::vector<float> q = RandomFloats(kLength * c.heads * c.key_dim, &random_);
      const std::vector<float> sinks = RandomFloats(c.heads, &random_);
      const AttentionRule rule{.heads = c.heads,
                               // Scores spread alike whatever the size of a head.
                               .scale = 1.13F / std::sqrt(static_cast<float>(c.key_dim)),
                               .window = c.window,
                               .sinks = c.sinks ? sinks.data() : nullptr};
      std::vector<float> expected(static_cast<size_t>(kLength * c.heads * c.value_dim));
      std::vector<float> actual(expected.size());
      std::vector<float> alone(expected.size());
      reference_->ops().Attend(layout, places, q.data(), rule, expected.data());
      device_->ops().Attend(layout, places, q.data(), rule, actual.data());
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 3e-6F) << i;
      for (int32_t t = 0; t < kLength; ++t) {  // one by one: the same bits
        device_->ops().Attend(layout, {&places[static_cast<size_t>(t)], 1},
                              q.data() + t * c.heads * c.key_dim, rule,
                              alone.data() + t * c.heads * c.value_dim);
      }
      EXPECT_EQ(actual, alone);
    }
  }
}

// Against the softmax written out: of the keys in the window, and a sink.
TEST_P(ConformanceTest, WindowsAndSinksAreWhatTheyAreCalled) {
  KvLayout layout{.format = KvFormat::kF32, .kv_heads = 1, .key_dim = 16, .value_dim = 16};
  layout.page_tokens = 64;
  std::vector<std::byte> page(static_cast<size_t>(layout.layer_bytes()));
  std::byte* pages[] = {page.data()};
  std::vector<KvPlace> places;
  for (int32_t p = 0; p < 9; ++p) places.push_back({.pages = pages, .position = p});
  const std::vector<float> k = RandomFloats(9 * 16, &random_);
  const std::vector<float> v = RandomFloats(9 * 16, &random_);
  const std::vector<float> q = RandomFloats(16, &random_);
  device_->ops().AppendKv(layout, places, k.data(), v.data());
  const float sink = 0.7F;
  std::vector<float> out(16);
  device_->ops().Attend(layout, {&places[8], 1}, q.data(),
                        {.heads = 1, .scale = 0.25F, .window = 3, .sinks = &sink}, out.data());
  double total = std::exp(0.7);
  double expected = 0;
  for (size_t p = 6; p < 9; ++p) {
    double score = 0;
    for (size_t i = 0; i < 16; ++i) score += double{q[i]} * k[p * 16 + i];
    total += std::exp(0.25 * score);
    expected += std::exp(0.25 * score) * v[p * 16 + 5];
  }
  EXPECT_NEAR(out[5], expected / total, 1e-6);
}

TEST_P(ConformanceTest, HeadsHaveTheirOwnMatrices) {
  const int64_t heads = 5;
  const int64_t rows = 32;
  const int64_t tokens = 9;
  for (const Format format : {Format::kF32, Format::kF16, Format::kQ8_0}) {
    const int64_t cols = 64;
    const Packed all(*device_, format, heads * rows, cols, &random_);
    const std::vector<float> x = RandomFloats(tokens * heads * 80, &random_);
    std::vector<float> expected(static_cast<size_t>(tokens * heads * 40));
    std::vector<float> actual(expected.size());
    HeadProduct product{.weight = all.file_view,
                        .heads = heads,
                        .x = x.data(),
                        .x_stride = 80,
                        .out = expected.data(),
                        .out_stride = 40};
    reference_->ops().MatMulHeads(product, tokens);
    reference_->ops().CopyRows(x.data() + 64, 80, tokens * heads, 8, expected.data() + 32, 40);
    product.weight = all.device_view;
    product.out = actual.data();
    device_->ops().MatMulHeads(product, tokens);
    device_->ops().CopyRows(x.data() + 64, 80, tokens * heads, 8, actual.data() + 32, 40);
    EXPECT_EQ(expected, actual) << Spec(format).name;
    // Head 3 of token 2 is a product of its own.
    WeightView head = all.file_view;
    head.rows = rows;
    head.bytes += 3 * rows * Spec(format).row_bytes(cols);
    std::vector<float> alone(static_cast<size_t>(rows));
    const Product one{.weight = head, .out = alone.data()};
    reference_->ops().MatMul(x.data() + (2 * heads + 3) * 80, 1, {&one, 1});
    EXPECT_EQ(std::memcmp(alone.data(), &actual[(2 * heads + 3) * 40], alone.size() * 4), 0);
  }
}

TEST_P(ConformanceTest, ClampsAndGatesAreEqual) {
  std::vector<float> a = RandomFloats(100, &random_);
  a[3] = NAN;
  std::vector<float> b = a;
  reference_->ops().Clamp(a.data(), 100, 0.5F);
  device_->ops().Clamp(b.data(), 100, 0.5F);
  EXPECT_EQ(std::memcmp(a.data(), b.data(), 400), 0);
  EXPECT_EQ(*std::max_element(b.begin() + 4, b.end()), 0.5F);
  a[3] = b[3] = 0;
  const std::vector<float> y = RandomFloats(100, &random_);
  const std::vector<float> gate = RandomFloats(4, &random_);
  const float before = a[30];
  reference_->ops().AddGated(y.data(), 4, 25, gate.data(), a.data());
  device_->ops().AddGated(y.data(), 4, 25, gate.data(), b.data());
  EXPECT_EQ(a, b);
  EXPECT_NEAR(b[30], before + y[30] / (1 + std::exp(-gate[1])), 1e-6F);
}

TEST_P(ConformanceTest, RoutesTiesToTheLowerId) {
  const std::vector<float> logits = {1, 3, 3, 2, 0, 3, 0, 0, 0, 0, 0, 0};
  Routing routing;
  device_->ops().Route({logits.data(), 2, 6, nullptr}, 3, {.renormalise = true}, &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{1, 2, 5, 0, 1, 2}));
  EXPECT_NEAR(routing.weights[0] + routing.weights[1] + routing.weights[2], 1.0F, 1e-6F);
  device_->ops().Route({logits.data(), 2, 6, nullptr}, 3, {}, &routing);
  EXPECT_NEAR(routing.weights[3], 1.0F / 6, 1e-6F);
}

// By hand: a bias chooses and does not weigh; groups shut experts out; softmax of the chosen alone.
TEST_P(ConformanceTest, RoutesByEveryRule) {
  const std::vector<float> logits = {2, -1, 0, 1, 3, -2};
  const std::vector<float> bias = {0, 0.9F, 0, 0, -1, 0};
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  Routing routing;
  // Scores with bias: .88 1.17 .5 .73 -.05 .12.
  device_->ops().Route({logits.data(), 1, 6, bias.data()}, 2,
                       {.scores = RouterScores::kSigmoid, .renormalise = true, .scale = 2.5F},
                       &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{1, 0}));
  EXPECT_NEAR(routing.weights[0], 2.5 * sigmoid(-1) / (sigmoid(-1) + sigmoid(2)), 1e-6);

  // Groups {2, -1} {0, 1} {3, -2}: the best by their best are the third and the first.
  RouterRule rule{.groups = 3, .groups_used = 2};
  device_->ops().Route({logits.data(), 1, 6, nullptr}, 3, rule, &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{4, 0, 1}));
  // By the sum of two, 1 each: a tie, which the lower ids win.
  rule.group_score = GroupScore::kBestTwo;
  device_->ops().Route({logits.data(), 1, 6, nullptr}, 3, rule, &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{0, 3, 2}));

  device_->ops().Route({logits.data(), 1, 6, nullptr}, 2,
                       {.scores = RouterScores::kSoftmaxOfChosen}, &routing);
  EXPECT_EQ(routing.experts, (std::vector<int32_t>{4, 0}));
  EXPECT_NEAR(routing.weights[0], sigmoid(1), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConformanceTest,
                         ::testing::Values("amx", "avx512", "avx2", "reference"),
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
