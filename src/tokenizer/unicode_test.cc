#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "tokenizer/testing_text.h"

namespace sluice {
namespace {

// Whether `text`, which is one character, is waited for wherever it is cut.
bool EveryCutIsIncomplete(std::string_view text) {
  for (size_t cut = 1; cut < text.size(); ++cut) {
    if (IncompleteUtf8Tail(text.substr(0, cut)) != cut) return false;
  }
  return IncompleteUtf8Tail(text) == 0;
}

TEST(Utf8Test, EveryScalarValueComesBack) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xD800) code = 0xE000;
    std::string text;
    AppendUtf8(code, &text);
    const Utf8Char c = DecodeUtf8(text, 0);
    ASSERT_TRUE(c.valid && c.code == code && c.bytes == text.size() && EveryCutIsIncomplete(text))
        << std::hex << static_cast<uint32_t>(code);
  }
}

TEST(Utf8Test, WhatIsNotACharacterIsOneByteAlone) {
  for (const char* text :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82"}) {
    const Utf8Char c = DecodeUtf8(text, 0);
    EXPECT_FALSE(c.valid);
    EXPECT_EQ(c.bytes, 1U);
  }
}

TEST(Utf8Test, TailsThatCanNoLongerBecomeACharacterAreNotWaitedFor) {
  EXPECT_EQ(IncompleteUtf8Tail(""), 0U);
  EXPECT_EQ(IncompleteUtf8Tail("a\xE2\x82"), 2U);
  EXPECT_EQ(IncompleteUtf8Tail("\x82\x82"), 0U);
  EXPECT_EQ(IncompleteUtf8Tail("\xE0\x80"), 0U);  // would be overlong
  EXPECT_EQ(IncompleteUtf8Tail("\xED\xA0"), 0U);  // would be a surrogate
  EXPECT_EQ(IncompleteUtf8Tail("\xF0\x9F\x98"), 3U);
  EXPECT_EQ(IncompleteUtf8Tail("\xFF"), 0U);
}

TEST(Utf8Test, InvalidStretchesBecomeOneReplacementEach) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE2\x82z"), "a\uFFFDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\x80\xFFz"), "\uFFFD\uFFFDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98\x80"), "\U0001F600");
}

TEST(ClassTest, KnowsOneOfEach) {
  EXPECT_EQ(ClassOf('a'), kLower);
  EXPECT_EQ(ClassOf(0x1C5), kUpper);  // a title case letter
  EXPECT_EQ(ClassOf(0x2B0), kOtherLetter);
  EXPECT_EQ(ClassOf(0x4E00), kOtherLetter);
  EXPECT_EQ(ClassOf(0x301), kMark);
  EXPECT_EQ(ClassOf(0x2168), kNumber);
  EXPECT_EQ(ClassOf('_'), kPunctuation);
  EXPECT_EQ(ClassOf('+'), kSymbol);
  EXPECT_EQ(ClassOf(0x85), kSpace);
  EXPECT_EQ(ClassOf(0x3000), kSpace);
  EXPECT_EQ(ClassOf(0x200B), 0U);
  EXPECT_EQ(ClassOf(0x180E), 0U);
}

std::string Nfc(std::string_view text) { return NormalizeUnicode(text, NormalForm::kNfc); }

TEST(NfcTest, ComposesAndOrders) {
  EXPECT_EQ(Nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(Nfc("a\u030A\u0323"), "\u1EA1\u030A");
  EXPECT_EQ(Nfc("\u1100\u1161\u11A8"), "\uAC01");
  EXPECT_EQ(Nfc("\u212B"), "\u00C5");
  EXPECT_EQ(Nfc("\u0958"), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(Nfc("e\xFF\u0301"), "e\xFF\u0301");
  EXPECT_EQ(Nfc(""), "");
}

TEST(NfcTest, TwiceIsOnceAndTheQuickAnswerIsRight) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = RandomBytes(random, 1 + random() % 40);
    const std::string once = Nfc(text);
    EXPECT_EQ(Nfc(once), once);
    EXPECT_TRUE(MayNeedNormalizing(text, NormalForm::kNfc) || once == text);
  }
}

TEST(NfcTest, ARowOfAMillionMarksIsSorted) {
  std::string text = "a";
  for (int i = 0; i < 500'000; ++i) text += "\u0301\u0323";
  const std::string normal = Nfc(text);
  EXPECT_TRUE(normal.starts_with("\u1EA1\u0323\u0323"));
  EXPECT_TRUE(normal.ends_with("\u0301\u0301"));
}

// Unicode annex 15, figure 6.
TEST(NormalFormTest, FoldAndCompose) {
  const std::string text = "\uFB01 2\u2075 \u1E9B\u0323";
  EXPECT_EQ(Nfc(text), text);
  EXPECT_EQ(NormalizeUnicode(text, NormalForm::kNfd), "\uFB01 2\u2075 \u017F\u0323\u0307");
  EXPECT_EQ(NormalizeUnicode(text, NormalForm::kNfkc), "fi 25 \u1E69");
  EXPECT_EQ(NormalizeUnicode(text, NormalForm::kNfkd), "fi 25 s\u0323\u0307");
  for (const NormalForm form : {NormalForm::kNfd, NormalForm::kNfkc, NormalForm::kNfkd}) {
    EXPECT_EQ(NormalizeUnicode("a\xFF\xC2", form), "a\xFF\xC2");
    EXPECT_FALSE(MayNeedNormalizing("a b!", form));
    EXPECT_TRUE(MayNeedNormalizing("\u00AA\u00C0", form));
  }
}

TEST(AlphabetTest, IsOneToOne) {
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t code = ByteToAlphabet(static_cast<uint8_t>(byte));
    EXPECT_EQ(AlphabetToByte(code), byte);
  }
  EXPECT_EQ(ByteToAlphabet(' '), 0x120U);
  EXPECT_EQ(ByteToAlphabet('\n'), 0x10AU);
  EXPECT_EQ(AlphabetToByte(' '), std::nullopt);
  EXPECT_EQ(AlphabetToByte(0x4E00), std::nullopt);
}

TEST(QuoteTest, IsPrintableAndShort) {
  EXPECT_EQ(QuoteForMessage("a\n\xFF\""), "\"a\\x0a\\xff\\x22\"");
  EXPECT_LT(QuoteForMessage(std::string(10'000, 'x')).size(), 60U);
}

}  // namespace
}  // namespace sluice
