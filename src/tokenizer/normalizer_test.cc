// What single steps do; whole sequences are compared with other programs in witness_test.cc.
#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tokenizer/testing_text.h"

namespace sluice {
namespace {

using Steps = std::vector<NormalizeStep>;

std::string Apply(const Steps& steps, std::string_view text) {
  const Result<Normalizer> normalizer = Normalizer::Create(steps);
  if (!normalizer.ok()) {
    ADD_FAILURE() << normalizer.status().message();
    return {};
  }
  return normalizer->Apply(text);
}

std::string Apply(NormalizeKind kind, std::string_view text) {
  return Apply({{.kind = kind}}, text);
}

// The answers are those of `tokenizers`, which cannot be asked about bytes that are not UTF-8.
TEST(NormalizerTest, StepsDoWhatTheirNamesSay) {
  EXPECT_EQ(Apply(Steps{}, "a \xFF"), "a \xFF");
  EXPECT_EQ(Apply(NormalizeKind::kNfc, "e\u0301"), "\u00E9");
  EXPECT_EQ(Apply(NormalizeKind::kNfd, "\u00E9"), "e\u0301");
  EXPECT_EQ(Apply(NormalizeKind::kNfkc, "\uFB01\u00A0"), "fi ");
  EXPECT_EQ(Apply(NormalizeKind::kNfkd, "\uFB01\u00E9"), "fie\u0301");
  EXPECT_EQ(Apply(NormalizeKind::kNmt, "a\x01\tb\u200B\u2581\uFFFD\xFF"), "a b   \xFF");
  EXPECT_EQ(Apply(NormalizeKind::kStripLeft, " \u3000\n a \u2003"), "a \u2003");
  EXPECT_EQ(Apply(NormalizeKind::kStripRight, " a \u2003\t"), " a");
  EXPECT_EQ(Apply(NormalizeKind::kStripRight, "a\x80 \xE3\x80"), "a\x80 \xE3\x80");
  EXPECT_EQ(Apply(NormalizeKind::kStripRight, " \n "), "");
  EXPECT_EQ(Apply(NormalizeKind::kMergeSpaces, "  a   b\t "), "a b\t");
  EXPECT_EQ(Apply(NormalizeKind::kMergeSpaces, "   "), "");
  EXPECT_EQ(Apply(NormalizeKind::kMergeSpaces, "\u2581 a \u2581 "), "\u2581 a");
}

TEST(NormalizerTest, Replaces) {
  const NormalizeStep quotes{.kind = NormalizeKind::kReplaceText, .from = "''", .to = "\""};
  EXPECT_EQ(Apply({quotes}, "''a'''"), "\"a\"'");
  const NormalizeStep rows{.kind = NormalizeKind::kReplacePattern, .from = " {2,}", .to = "_"};
  EXPECT_EQ(Apply({rows}, "a  b    c d"), "a_b_c d");
  EXPECT_EQ(Apply({quotes, rows}, "''  ''"), "\"_\"");
}

TEST(NormalizerTest, RefusesWhatMakesNoSense) {
  const auto refusal = [](const Steps& steps) {
    const Result<Normalizer> normalizer = Normalizer::Create(steps);
    return normalizer.ok() ? "accepted" : normalizer.status().message();
  };
  EXPECT_NE(refusal({{.kind = NormalizeKind::kReplaceText}}).find("empty"), std::string::npos);
  EXPECT_NE(refusal({{.kind = NormalizeKind::kReplacePattern, .from = "("}}).find("pattern"),
            std::string::npos);
  EXPECT_NE(refusal({{.kind = NormalizeKind::kCharsmap, .from = "abc"}}).find("charsmap"),
            std::string::npos);
  EXPECT_NE(refusal(Steps(65, {.kind = NormalizeKind::kNmt})).find("65 steps"), std::string::npos);
  const NormalizeStep doubling{.kind = NormalizeKind::kReplaceText, .from = "a", .to = "aa"};
  EXPECT_EQ(refusal(Steps(8, doubling)), "accepted");
  EXPECT_NE(refusal(Steps(9, doubling)).find("512 times as long"), std::string::npos);
  const std::string longest(kMaxReplacedBytes, 'a');
  EXPECT_EQ(refusal({{.kind = NormalizeKind::kReplaceText, .from = longest}}), "accepted");
  EXPECT_NE(
      refusal({{.kind = NormalizeKind::kReplaceText, .from = longest + "b"}}).find("513 bytes"),
      std::string::npos);
  for (const char* pattern : {"^", "$", "\\b", "x*", "a|"}) {
    EXPECT_NE(
        refusal({{.kind = NormalizeKind::kReplacePattern, .from = pattern}}).find("match nothing"),
        std::string::npos)
        << pattern;
  }
}

TEST(NormalizerTest, AMegabyteOfOneKindEnds) {
  const Steps steps{{.kind = NormalizeKind::kNmt},
                    {.kind = NormalizeKind::kNfkc},
                    {.kind = NormalizeKind::kReplaceText, .from = "aab", .to = "c"},
                    {.kind = NormalizeKind::kReplacePattern, .from = " {2,}", .to = " "},
                    {.kind = NormalizeKind::kStripLeft},
                    {.kind = NormalizeKind::kStripRight},
                    {.kind = NormalizeKind::kMergeSpaces}};
  for (const char* unit : {"a", " ", "\u0301", "\uFDFA", "\xFF", "\n", "a\u0323\u0301"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    (void)Apply(steps, text);
  }
}

TEST(NormalizerTest, TakesAnyBytes) {
  std::mt19937 random(17);
  for (const NormalizeKind kind :
       {NormalizeKind::kNfc, NormalizeKind::kNfd, NormalizeKind::kNfkc, NormalizeKind::kNfkd,
        NormalizeKind::kNmt, NormalizeKind::kStripLeft, NormalizeKind::kStripRight,
        NormalizeKind::kMergeSpaces}) {
    for (int round = 0; round < 200; ++round) {
      const std::string once = Apply(kind, RandomBytes(random, random() % 40));
      EXPECT_EQ(Apply(kind, once), once);
    }
  }
}

}  // namespace
}  // namespace sluice
