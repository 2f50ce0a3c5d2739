// The division against llama.cpp's rules, worked out by hand for models whose shapes differ in what
// the rules ask.
#include "quantize/file_type.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

constexpr ModelSize kQwen3{.layers = 48, .experts = 128, .heads_per_kv_head = 8};
constexpr ModelSize kMixtral{.layers = 32, .experts = 8, .heads_per_kv_head = 4};
constexpr ModelSize kOlmoe{.layers = 16, .experts = 64, .heads_per_kv_head = 1};

std::string Of(const char* type, const ModelSize& size, const MatrixPlace& place) {
  return Spec(MatrixFormat(*FindFileType(type), size, place)).name;
}
MatrixPlace At(MatrixRole role, int64_t layer = 20, int64_t cols = 2048) {
  return {.role = role, .layer = layer, .cols = cols};
}

TEST(FileTypeTest, NamesAndAliases) {
  for (const std::string_view name : FileTypeNames()) {
    ASSERT_NE(FindFileType(name), nullptr);
    EXPECT_EQ(FindFileType(name)->name, name);
  }
  EXPECT_EQ(FindFileType("q4_k"), FindFileType("q4_k_m"));
  EXPECT_EQ(FindFileType("q5_k"), FindFileType("q5_k_m"));
  EXPECT_EQ(FindFileType("q3_k"), FindFileType("q3_k_m"));
  EXPECT_EQ(FindFileType("q9"), nullptr);
}

TEST(FileTypeTest, TheMediumMixGivesSomeLayersSixBits) {
  // 48 / 8 = 6: layers 0 to 5, 42 on, and between them 8, 11, 14, ...
  for (const MatrixRole role : {MatrixRole::kAttentionV, MatrixRole::kDown}) {
    for (const auto& [layer, format] : {std::pair(0, "Q6_K"),
                                        {5, "Q6_K"},
                                        {6, "Q4_K"},
                                        {7, "Q4_K"},
                                        {8, "Q6_K"},
                                        {41, "Q6_K"},
                                        {40, "Q4_K"},
                                        {42, "Q6_K"},
                                        {47, "Q6_K"}}) {
      EXPECT_EQ(Of("q4_k_m", kQwen3, At(role, layer)), format) << layer;
    }
  }
  EXPECT_EQ(Of("q5_k_m", kQwen3, At(MatrixRole::kDown, 7)), "Q5_K");
  EXPECT_EQ(Of("q4_k_m", kQwen3, At(MatrixRole::kOutput)), "Q6_K");
  EXPECT_EQ(Of("q4_k_m", kQwen3, At(MatrixRole::kEmbedding)), "Q4_K");
}

TEST(FileTypeTest, SmallAndLargeMixes) {
  EXPECT_EQ(Of("q4_k_s", kQwen3, At(MatrixRole::kAttentionV, 3)), "Q5_K");
  EXPECT_EQ(Of("q4_k_s", kQwen3, At(MatrixRole::kAttentionV, 4)), "Q4_K");
  EXPECT_EQ(Of("q4_k_s", kQwen3, At(MatrixRole::kDown, 5)), "Q5_K");
  EXPECT_EQ(Of("q4_k_s", kQwen3, At(MatrixRole::kDown, 6)), "Q4_K");
  EXPECT_EQ(Of("q3_k_m", kQwen3, At(MatrixRole::kAttentionV, 1)), "Q5_K");
  EXPECT_EQ(Of("q3_k_m", kQwen3, At(MatrixRole::kAttentionV, 2)), "Q4_K");
  EXPECT_EQ(Of("q3_k_m", kQwen3, At(MatrixRole::kDown, 2)), "Q5_K");
  EXPECT_EQ(Of("q3_k_m", kQwen3, At(MatrixRole::kDown, 3)), "Q4_K");
  EXPECT_EQ(Of("q3_k_m", kQwen3, At(MatrixRole::kAttentionOut)), "Q4_K");
  EXPECT_EQ(Of("q3_k_s", kQwen3, At(MatrixRole::kDown)), "Q3_K");
  EXPECT_EQ(Of("q2_k", kQwen3, At(MatrixRole::kAttentionV)), "Q4_K");  // many heads share values
  EXPECT_EQ(Of("q2_k", kOlmoe, At(MatrixRole::kAttentionV)), "Q3_K");
  EXPECT_EQ(Of("q2_k", kOlmoe, At(MatrixRole::kDown)), "Q3_K");
  EXPECT_EQ(Of("iq4_nl", kQwen3, At(MatrixRole::kAttentionV)), "Q5_K");
  EXPECT_EQ(Of("iq4_xs", kOlmoe, At(MatrixRole::kAttentionV, 5)), "IQ4_XS");
  EXPECT_EQ(Of("iq4_xs", kOlmoe, At(MatrixRole::kDown, 1)), "Q5_K");
}

TEST(FileTypeTest, EightLargeExpertsMakeAttentionCheap) {
  EXPECT_EQ(Of("q4_k_m", kMixtral, At(MatrixRole::kAttentionK)), "Q8_0");
  EXPECT_EQ(Of("q4_0", kMixtral, At(MatrixRole::kAttentionV)), "Q8_0");
  EXPECT_EQ(Of("q4_k_s", kMixtral, At(MatrixRole::kAttentionOut)), "Q5_K");
  EXPECT_EQ(Of("q5_k_m", kMixtral, At(MatrixRole::kAttentionOut)), "Q5_K");
  EXPECT_EQ(Of("q6_k", kMixtral, At(MatrixRole::kAttentionOut)), "Q6_K");
}

TEST(FileTypeTest, Mxfp4IsForExperts) {
  const MatrixPlace experts{
      .role = MatrixRole::kDown, .layer = 0, .cols = 2880, .of_experts = true};
  EXPECT_EQ(Of("mxfp4", kQwen3, experts), "MXFP4");
  EXPECT_EQ(Of("mxfp4", kQwen3, At(MatrixRole::kAttentionV)), "Q8_0");
  EXPECT_EQ(Of("mxfp4", kQwen3, At(MatrixRole::kOutput)), "Q8_0");
}

TEST(FileTypeTest, RowsThatBlocksOf256DoNotDivideGetSmallerOnes) {
  const struct {
    const char* type;
    const char* format;
  } cases[] = {{"q2_k_s", "Q4_0"}, {"q3_k_s", "Q4_0"},   {"q4_k_s", "Q5_0"}, {"q5_k_s", "Q5_1"},
               {"q6_k", "Q8_0"},   {"iq4_xs", "IQ4_NL"}, {"q4_0", "Q4_0"},   {"f16", "F16"}};
  for (const auto& [type, format] : cases) {
    EXPECT_EQ(Of(type, kOlmoe, At(MatrixRole::kOther, 20, 1408)), format) << type;
  }
  EXPECT_EQ(Of("q4_k_m", kOlmoe, At(MatrixRole::kDown, 0, 1408)), "Q8_0");
  EXPECT_EQ(Of("q4_k_m", kOlmoe, At(MatrixRole::kOutput, 0, 2880)), "Q8_0");
  EXPECT_EQ(Of("q4_0", kOlmoe, At(MatrixRole::kOther, 0, 40)), "F16");
}

}  // namespace
}  // namespace sluice
