// The hand-written splitters against the same patterns in PCRE2.
#include "tokenizer/splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/testing_text.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace sluice {
namespace {

std::vector<TextSpan> Matches(const Splitter& splitter, std::string_view text) {
  std::vector<TextSpan> matches;
  splitter.FindMatches(text, &matches);
  return matches;
}

std::unique_ptr<Splitter> Oracle(std::string_view pattern) {
  Result<std::unique_ptr<Splitter>> splitter = MakePcre2Splitter(std::string(pattern));
  if (!splitter.ok()) {
    ADD_FAILURE() << splitter.status().message();
    return nullptr;
  }
  return *std::move(splitter);
}

// Whether PCRE2 and our table put a code point into the same classes.
class Agreement {
 public:
  Agreement() {
    const std::vector<std::pair<const char*, uint32_t>> classes{
        {R"([\p{Lu}\p{Lt}])", kUpper}, {R"(\p{Ll})", kLower}, {R"([\p{Lm}\p{Lo}])", kOtherLetter},
        {R"(\p{M})", kMark},           {R"(\p{N})", kNumber}, {R"(\s)", kSpace},
        {R"(\p{P})", kPunctuation},    {R"(\p{S})", kSymbol}};
    std::string all;
    std::vector<char32_t> code_at;
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      code_at.resize(all.size());
      code_at.push_back(code);
      AppendUtf8(code, &all);
    }
    std::vector<uint32_t> theirs(0x110000);
    for (const auto& [pattern, bit] : classes) {
      const std::unique_ptr<Splitter> oracle = Oracle(pattern);
      for (const TextSpan& match : Matches(*oracle, all)) theirs[code_at[match.begin]] |= bit;
    }
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      if (theirs[code] != ClassOf(code)) differing_.push_back(code);
    }
  }

  const std::vector<char32_t>& differing() const { return differing_; }

  // `text` without the characters that the two see differently.
  std::string Common(std::string_view text) const {
    std::string common;
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = DecodeUtf8(text, i);
      const bool differs = std::binary_search(differing_.begin(), differing_.end(), c.code);
      if (!differs) common += text.substr(i, c.bytes);
      i += c.bytes;
    }
    return common;
  }

 private:
  std::vector<char32_t> differing_;
};

const Agreement& TheAgreement() {
  static const Agreement agreement;
  return agreement;
}

// Where the two tables differ: PCRE2 10.42 has Unicode 14, utf8proc 2.8 has Unicode 15, and PCRE2
// takes U+180E for a space, which it was until Unicode 6.3.
TEST(UnicodeVersionsTest, DifferWhereUnicode15AddedCharacters) {
  for (const char32_t code : TheAgreement().differing()) {
    const bool new_in_15 =
        code == 0xCF3 || code == 0xECE || (code >= 0x10EFD && code <= 0x10EFF) ||
        (code >= 0x1123F && code <= 0x11241) || (code >= 0x11B00 && code <= 0x11B09) ||
        (code >= 0x11F00 && code <= 0x11F59) || (code >= 0x1342F && code <= 0x13455) ||
        (code >= 0x1B132 && code <= 0x1B155) || (code >= 0x1D2C0 && code <= 0x1D2D3) ||
        (code >= 0x1DF25 && code <= 0x1DF2A) || (code >= 0x1E030 && code <= 0x1E08F) ||
        (code >= 0x1E4D0 && code <= 0x1E4F9) || code == 0x2B739 ||
        (code >= 0x31350 && code <= 0x323AF) || code == 0x1F6DC ||
        (code >= 0x1F774 && code <= 0x1F776) || (code >= 0x1F77B && code <= 0x1F77F) ||
        code == 0x1F7D9 || (code >= 0x1FA75 && code <= 0x1FA77) ||
        (code >= 0x1FA87 && code <= 0x1FA88) || (code >= 0x1FAAD && code <= 0x1FAAF) ||
        (code >= 0x1FABB && code <= 0x1FABD) || code == 0x1FABF ||
        (code >= 0x1FACE && code <= 0x1FACF) || (code >= 0x1FADA && code <= 0x1FADB) ||
        code == 0x1FAE8 || (code >= 0x1FAF7 && code <= 0x1FAF8);
    EXPECT_TRUE(new_in_15 || code == 0x180E) << std::hex << static_cast<uint32_t>(code);
  }
}

std::vector<std::string> LinearPatterns() {
  std::vector<std::string> patterns;
  for (const std::string_view pattern :
       {kGpt2Pattern, kQwen2Pattern, kQwen35Pattern, kLlama3Pattern, kGpt4oPattern, kTekkenPattern,
        kDeepseekV3Pattern, kBailingPattern, kSeedCoderPattern, kCl100kPattern, kLineEndPattern}) {
    patterns.emplace_back(pattern);
  }
  Vocabulary vocabulary;
  for (const char* name : {"deepseek-llm", "deepseek-coder"}) {
    EXPECT_TRUE(ApplyNamedPreTokenizer(name, &vocabulary).ok());
    for (const SplitStep& step : vocabulary.steps) patterns.push_back(step.pattern);
  }
  patterns.insert(patterns.end(),
                  {R"(\p{N}{1,3})", "[\u2581]", R"([a-c\-x\p{M}]{1,3})", R"(\s?[\t ]+)"});
  return patterns;
}

TEST(LinearSplitterTest, MatchesWhatPcre2Matches) {
  std::mt19937 random(7);
  for (const std::string& pattern : LinearPatterns()) {
    SCOPED_TRACE(pattern);
    const std::unique_ptr<Splitter> linear = MakeLinearSplitter(pattern);
    const std::unique_ptr<Splitter> oracle = Oracle(pattern);
    ASSERT_NE(linear, nullptr);
    ASSERT_NE(oracle, nullptr);
    for (int i = 0; i < 4000; ++i) {
      const std::string text = TheAgreement().Common(RandomBytes(random, 1 + random() % 30));
      ASSERT_EQ(Matches(*linear, text), Matches(*oracle, text)) << QuoteForMessage(text);
    }
  }
}

TEST(LinearSplitterTest, MatchesAllShortTextsOfTheInterestingCharacters) {
  // Every text of five characters out of these exercises each alternative and its neighbours.
  const std::vector<std::string> characters{"a", "B",  "\u02B0", "\u0301", "1",
                                            " ", "\n", "'",      "s",      "/"};
  for (const std::string_view pattern :
       {kGpt2Pattern, kQwen2Pattern, kQwen35Pattern, kLlama3Pattern, kGpt4oPattern, kTekkenPattern,
        kDeepseekV3Pattern, kBailingPattern, kSeedCoderPattern, kCl100kPattern, kLineEndPattern}) {
    const std::unique_ptr<Splitter> linear = MakeLinearSplitter(pattern);
    const std::unique_ptr<Splitter> oracle = Oracle(pattern);
    for (int number = 0; number < 100'000; ++number) {
      std::string text;
      for (int rest = number, i = 0; i < 5; ++i, rest /= 10) {
        text += characters[static_cast<size_t>(rest % 10)];
      }
      ASSERT_EQ(Matches(*linear, text), Matches(*oracle, text)) << pattern << "\n" << text;
    }
  }
}

TEST(LinearSplitterTest, UnknownPatternsHaveNone) {
  for (const char* pattern : {"", "a", "[^a]", "[a", "[a]]", "[]a]", "[b-a]", "[a&&b]", "[[a]]",
                              R"([\w])", R"(\p{Greek})", "[a]*", "[a]{2}", R"(\s+[a])"}) {
    EXPECT_EQ(MakeLinearSplitter(pattern), nullptr) << pattern;
  }
}

TEST(LinearSplitterTest, ALongRowOfOneKindEnds) {
  for (const std::string& pattern : LinearPatterns()) {
    const std::unique_ptr<Splitter> linear = MakeLinearSplitter(pattern);
    for (const char* unit :
         {"a", " ", "\n", "A", "!", "1", "'", "\u02B0A", "\u0301", " \n", "\xFF"}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      (void)Matches(*linear, text);
    }
  }
}

TEST(Pcre2SplitterTest, RefusesWhatItWouldReadDifferently) {
  for (const char* pattern :
       {"", "[a&&b]", "[a[bc]]", R"(\h+)", R"([\h])", R"(a\Kb)", R"(\Qa[\E)", "(", "[a"}) {
    EXPECT_EQ(MakePcre2Splitter(pattern).status().code(), StatusCode::kUnsupported) << pattern;
  }
  EXPECT_TRUE(MakePcre2Splitter(R"([[:alpha:]]+|[\[a]|\\h)").ok());
  EXPECT_FALSE(MakePcre2Splitter(std::string(1 << 20, 'a')).ok());
  EXPECT_FALSE(MakePcre2Splitter(std::string(5000, '(') + std::string(5000, ')')).ok());
}

TEST(Pcre2SplitterTest, LineEndsAreEnds) {
  // As the package `tokenizers` splits it.
  EXPECT_EQ(Matches(*Oracle(R"(\s+$)"), "a  \n  b  \n"),
            (std::vector<TextSpan>{{.begin = 1, .end = 3}, {.begin = 7, .end = 10}}));
}

TEST(Pcre2SplitterTest, ExponentialPatternsStopAtTheLimit) {
  const std::unique_ptr<Splitter> splitter = Oracle("(a+)+b");
  EXPECT_TRUE(Matches(*splitter, std::string(100, 'a')).empty());
}

TEST(Pcre2SplitterTest, BrokenBytesKeepTheirPlaces) {
  EXPECT_EQ(Matches(*Oracle("b"),
                    "\xFF\xFF"
                    "b\xE2\x82"
                    "b"),
            (std::vector<TextSpan>{{.begin = 2, .end = 3}, {.begin = 5, .end = 6}}));
}

}  // namespace
}  // namespace sluice
