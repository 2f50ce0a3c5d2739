#include "tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

// "text|5:<x>|text": plain text as it is, tokens with their ids.
std::string Cut(const SpecialTokenFinder& finder, std::string_view text, bool control = true) {
  std::string cut;
  for (const TextSegment& segment : finder.Cut(text, control)) {
    if (!cut.empty()) cut += "|";
    if (segment.id >= 0) cut += std::to_string(segment.id) + ":";
    cut += text.substr(segment.span.begin, segment.span.end - segment.span.begin);
  }
  return cut;
}

TEST(SpecialTokenFinderTest, TakesTheLeftmostThenTheLongest) {
  SpecialTokenFinder finder;
  finder.Add("<a>", {.id = 1}, true);
  finder.Add("<a><b>", {.id = 2}, true);
  finder.Add("a><b", {.id = 3}, false);
  EXPECT_EQ(Cut(finder, "x<a>y<a><b><a"), "x|1:<a>|y|2:<a><b>|<a");
  EXPECT_EQ(Cut(finder, "<a><b>", false), "<|3:a><b|>");
  EXPECT_EQ(Cut(finder, "<<a>"), "<|1:<a>");
  EXPECT_EQ(Cut(finder, ""), "");
}

TEST(SpecialTokenFinderTest, NoTokenTouchesPlainStretches) {
  SpecialTokenFinder finder;
  finder.Add("<a>", {.id = 1}, true);
  finder.Add("<b>", {.id = 2}, false);
  const std::string text = "<a><a><b><a>";
  const auto ids = [&](const std::vector<TextSpan>& plain) {
    std::vector<TokenId> found;
    for (const TextSegment& segment : finder.Cut(text, true, plain)) found.push_back(segment.id);
    return found;
  };
  EXPECT_EQ(ids({}), (std::vector<TokenId>{1, 1, 2, 1}));
  EXPECT_EQ(ids({{.begin = 3, .end = 6}}), (std::vector<TokenId>{1, -1, 2, 1}));
  EXPECT_EQ(ids({{.begin = 4, .end = 5}, {.begin = 11, .end = 12}}),
            (std::vector<TokenId>{1, -1, 2, -1}));
  EXPECT_EQ(ids({{.begin = 0, .end = 12}}), (std::vector<TokenId>{-1}));
  EXPECT_EQ(ids({{.begin = 6, .end = 9}}), (std::vector<TokenId>{1, 1, -1, 1}));
}

TEST(SpecialTokenFinderTest, WithoutTokensTextIsText) {
  const SpecialTokenFinder finder;
  EXPECT_TRUE(finder.empty());
  EXPECT_EQ(Cut(finder, "<a>"), "<a>");
}

TEST(SpecialTokenFinderTest, IgnoresEmptyTextsAndSecondOnes) {
  SpecialTokenFinder finder;
  finder.Add("", {.id = 1}, false);
  EXPECT_TRUE(finder.empty());
  finder.Add("x", {.id = 2}, false);
  finder.Add("x", {.id = 3}, false);
  EXPECT_EQ(Cut(finder, "x"), "2:x");
}

TEST(SpecialTokenFinderTest, StripsWhitespaceOnTheSidesThatItMay) {
  SpecialTokenFinder finder;
  finder.Add("<l>", {.id = 1, .lstrip = true}, false);
  finder.Add("<r>", {.id = 2, .rstrip = true}, false);
  EXPECT_EQ(Cut(finder, "a \u3000<l> b"), "a|1: \u3000<l>| b");
  EXPECT_EQ(Cut(finder, "a <r> \n<l>b"), "a |2:<r> \n|1:<l>|b");
}

TEST(SpecialTokenFinderTest, LeavesWordsWhole) {
  SpecialTokenFinder finder;
  finder.Add("at", {.id = 1, .single_word = true}, false);
  EXPECT_EQ(Cut(finder, "at cat at\u00e9 \u00e9at _at -at-"),
            "1:at| cat at\u00e9 \u00e9at _at -|1:at|-");
}

TEST(SpecialTokenFinderTest, FindsTokensOfAnyBytes) {
  SpecialTokenFinder finder;
  finder.Add(std::string_view("\0\xFF", 2), {.id = 1}, false);
  EXPECT_EQ(finder.Cut(std::string_view("\0\0\xFF", 3), false).back().id, 1);
}

}  // namespace
}  // namespace sluice
