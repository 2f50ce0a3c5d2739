#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/unicode.h"

namespace sluice {
namespace {

// One token per byte (ids are their values), then a control token.
std::unique_ptr<Tokenizer> ByteTokenizer() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    AppendUtf8(ByteToAlphabet(static_cast<uint8_t>(byte)), &vocabulary.pieces.emplace_back());
  }
  vocabulary.kinds.assign(256, TokenKind::kNormal);
  vocabulary.pieces.emplace_back("<|end|>");
  vocabulary.kinds.push_back(TokenKind::kControl);
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok());
  return *std::move(tokenizer);
}

std::vector<std::string> PushAll(StreamDecoder* decoder, std::string_view bytes) {
  std::vector<std::string> texts;
  for (const char c : bytes) texts.push_back(decoder->Push(static_cast<uint8_t>(c)));
  return texts;
}

TEST(StreamDecoderTest, HoldsBackHalfACharacter) {
  const auto tokenizer = ByteTokenizer();
  StreamDecoder decoder(*tokenizer, StreamStart::kContinuation);
  EXPECT_EQ(PushAll(&decoder, "a\u20AC\U0001F600"),
            (std::vector<std::string>{"a", "", "", "\u20AC", "", "", "", "\U0001F600"}));
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(StreamDecoderTest, WhatCannotBecomeACharacterIsReplacedAtOnce) {
  const auto tokenizer = ByteTokenizer();
  StreamDecoder decoder(*tokenizer, StreamStart::kContinuation);
  EXPECT_EQ(PushAll(&decoder, "\xE2\x82x\xFF"),
            (std::vector<std::string>{"", "", "\uFFFDx", "\uFFFD"}));
  EXPECT_EQ(PushAll(&decoder, "\xF0\x9F"), (std::vector<std::string>{"", ""}));
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(StreamDecoderTest, ControlTokensDoNotTearACharacter) {
  const auto tokenizer = ByteTokenizer();
  StreamDecoder hides(*tokenizer, StreamStart::kContinuation);
  EXPECT_EQ(hides.Push(0xC3), "");
  EXPECT_EQ(hides.Push(256), "");
  EXPECT_EQ(hides.Push(0xA9), "\u00E9");
  EXPECT_EQ(hides.Push(9999), "");
  StreamDecoder shows(*tokenizer, StreamStart::kContinuation, ControlTokens::kShow);
  EXPECT_EQ(shows.Push(256), "<|end|>");
}

TEST(StreamDecoderTest, ThePrefixSpaceGoesFromANewTextOnly) {
  Vocabulary vocabulary;
  vocabulary.unit = PieceUnit::kCharacter;
  vocabulary.pieces = {"<s>", "\u2581a"};
  vocabulary.kinds = {TokenKind::kControl, TokenKind::kNormal};
  vocabulary.scores = {0, 0};
  vocabulary.rules = {.mark_spaces = true, .prefix = SpacePrefix::kEveryText};
  const auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok());
  StreamDecoder begins(**tokenizer, StreamStart::kNewText);
  EXPECT_EQ(begins.Push(0), "");
  EXPECT_EQ(begins.Push(1), "a");
  EXPECT_EQ(begins.Push(1), " a");
  StreamDecoder goes_on(**tokenizer, StreamStart::kContinuation);
  EXPECT_EQ(goes_on.Push(1), " a");
}

}  // namespace
}  // namespace sluice
