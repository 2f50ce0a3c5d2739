#include "tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/testing_text.h"

namespace sluice {
namespace {

using Words = std::vector<std::string>;

Words Split(const std::vector<SplitStep>& steps, std::string_view text) {
  const Result<PreTokenizer> pre_tokenizer = PreTokenizer::Create(steps);
  EXPECT_TRUE(pre_tokenizer.ok());
  Words words;
  for (const TextSpan& span : pre_tokenizer->Split(text)) {
    words.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return words;
}

Words SplitNamed(std::string_view name, std::string_view text) {
  Vocabulary vocabulary;
  EXPECT_TRUE(ApplyNamedPreTokenizer(name, &vocabulary).ok());
  return Split(vocabulary.steps, text);
}

// What the package `tokenizers` makes of "aabaac" with the pattern "a".
TEST(PreTokenizerTest, BehavesAsNamed) {
  const auto split = [](SplitBehavior behavior, bool invert) {
    return Split({{.pattern = "a", .behavior = behavior, .invert = invert}}, "aabaac");
  };
  EXPECT_EQ(split(SplitBehavior::kIsolated, false), (Words{"a", "a", "b", "a", "a", "c"}));
  EXPECT_EQ(split(SplitBehavior::kIsolated, true), (Words{"a", "a", "b", "a", "a", "c"}));
  EXPECT_EQ(split(SplitBehavior::kRemoved, false), (Words{"b", "c"}));
  EXPECT_EQ(split(SplitBehavior::kRemoved, true), (Words{"a", "a", "a", "a"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious, false), (Words{"a", "a", "ba", "a", "c"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious, true), (Words{"a", "ab", "a", "ac"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext, false), (Words{"a", "ab", "a", "ac"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext, true), (Words{"a", "a", "ba", "a", "c"}));
  EXPECT_EQ(split(SplitBehavior::kContiguous, false), (Words{"aa", "b", "aa", "c"}));
  EXPECT_EQ(split(SplitBehavior::kContiguous, true), (Words{"aa", "b", "aa", "c"}));
}

TEST(PreTokenizerTest, NoStepsAreOneWord) {
  EXPECT_EQ(Split({}, "a b"), Words{"a b"});
  EXPECT_EQ(Split({}, ""), Words{});
}

TEST(PreTokenizerTest, FamiliesSplitNumbersAndSpacesTheirWay) {
  EXPECT_EQ(SplitNamed("gpt-2", "it's 1234\n\n  x"), (Words{"it", "'s", " 1234", "\n\n ", " x"}));
  EXPECT_EQ(SplitNamed("qwen2", "it'S 1234\n\n  x"),
            (Words{"it", "'S", " ", "1", "2", "3", "4", "\n\n", " ", " x"}));
  EXPECT_EQ(SplitNamed("llama-bpe", "it's 1234"), (Words{"it", "'s", " ", "123", "4"}));
  EXPECT_EQ(SplitNamed("gpt-4o", "aHTTPServer's"), (Words{"a", "HTTPServer's"}));
  EXPECT_EQ(SplitNamed("deepseek-llm", "Ab, 12\n中文 "),
            (Words{"Ab", ",", " ", "12", "\n", "中文", " "}));
  EXPECT_EQ(SplitNamed("starcoder", "a 12"), (Words{"a", " ", "1", "2"}));
  EXPECT_EQ(SplitNamed("default", "a+1234"), (Words{"a", "+", "123", "4"}));
}

TEST(PreTokenizerTest, EveryNamedOneKeepsEveryByte) {
  std::mt19937 random(3);
  for (const char* name : {"gpt-2", "olmo", "qwen2", "llama-bpe", "dbrx", "gpt-4o", "starcoder",
                           "deepseek-llm", "deepseek-coder", "deepseek-v3", "default"}) {
    for (int i = 0; i < 300; ++i) {
      const std::string text = RandomBytes(random, random() % 40);
      std::string together;
      for (const std::string& word : SplitNamed(name, text)) {
        EXPECT_FALSE(word.empty());
        together += word;
      }
      ASSERT_EQ(together, text) << name;
    }
  }
}

TEST(PreTokenizerTest, SaysWhichNameItDoesNotKnow) {
  Vocabulary vocabulary;
  const Status status = ApplyNamedPreTokenizer("tekken", &vocabulary);
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("\"tekken\""), std::string::npos);
  EXPECT_FALSE(PreTokenizer::Create(std::vector<SplitStep>(1000, {.pattern = "a"})).ok());
  EXPECT_FALSE(PreTokenizer::Create({{.pattern = "("}}).ok());
}

}  // namespace
}  // namespace sluice
