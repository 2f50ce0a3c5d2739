#include "tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>
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

struct BehaviorCase {
  SplitBehavior behavior;
  bool invert;
  Words words;
};

// What the package `tokenizers` makes of "aabaac" with the pattern "a".
TEST(PreTokenizerTest, BehavesAsNamed) {
  const std::vector<BehaviorCase> cases{
      {SplitBehavior::kIsolated, false, {"a", "a", "b", "a", "a", "c"}},
      {SplitBehavior::kIsolated, true, {"a", "a", "b", "a", "a", "c"}},
      {SplitBehavior::kRemoved, false, {"b", "c"}},
      {SplitBehavior::kRemoved, true, {"a", "a", "a", "a"}},
      {SplitBehavior::kMergedWithPrevious, false, {"a", "a", "ba", "a", "c"}},
      {SplitBehavior::kMergedWithPrevious, true, {"a", "ab", "a", "ac"}},
      {SplitBehavior::kMergedWithNext, false, {"a", "ab", "a", "ac"}},
      {SplitBehavior::kMergedWithNext, true, {"a", "a", "ba", "a", "c"}},
      {SplitBehavior::kContiguous, false, {"aa", "b", "aa", "c"}},
      {SplitBehavior::kContiguous, true, {"aa", "b", "aa", "c"}}};
  for (const BehaviorCase& c : cases) {
    EXPECT_EQ(Split({{.pattern = "a", .behavior = c.behavior, .invert = c.invert}}, "aabaac"),
              c.words)
        << static_cast<int>(c.behavior) << c.invert;
  }
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
  for (const std::string_view name : PreTokenizerNames()) {
    for (int i = 0; i < 100; ++i) {
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
  const Status status = ApplyNamedPreTokenizer("kimi-k2", &vocabulary);
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("\"kimi-k2\""), std::string::npos);
  EXPECT_FALSE(PreTokenizer::Create(std::vector<SplitStep>(1000, {.pattern = "a"})).ok());
  EXPECT_FALSE(PreTokenizer::Create({{.pattern = "("}}).ok());
}

TEST(PreTokenizerTest, TheDocumentListsEveryName) {
  std::ifstream file("docs/tokenizers.md");
  std::ostringstream document;
  document << file.rdbuf();
  for (const std::string_view name : PreTokenizerNames()) {
    EXPECT_NE(document.str().find("`" + std::string(name) + "`"), std::string::npos) << name;
  }
}

TEST(NameOfPreTokenizerTest, EveryNameIsFoundAgain) {
  for (const char* name : {"gpt-2", "qwen2", "qwen35", "llama-bpe", "dbrx", "gpt-4o", "tekken",
                           "starcoder", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3",
                           "bloom", "viking", "bailingmoe", "seed-coder", "default"}) {
    Vocabulary vocabulary;
    ASSERT_TRUE(ApplyNamedPreTokenizer(name, &vocabulary).ok());
    EXPECT_EQ(NameOfPreTokenizer(vocabulary), name);
  }
}

TEST(NameOfPreTokenizerTest, AnotherSpellingOfAPatternIsKnownByWhatItDoes) {
  Vocabulary vocabulary;
  ASSERT_TRUE(ApplyNamedPreTokenizer("starcoder", &vocabulary).ok());
  vocabulary.steps[0].pattern = R"([\p{N}])";
  EXPECT_EQ(NameOfPreTokenizer(vocabulary), "starcoder");
  vocabulary.steps = {{.pattern = R"(\w+)"}};
  EXPECT_FALSE(NameOfPreTokenizer(vocabulary).has_value());
}

}  // namespace
}  // namespace sluice
