#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tokenizer/testing_text.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

using Ids = std::vector<TokenId>;

std::string Spelt(std::string_view bytes) {
  std::string piece;
  for (const char c : bytes) AppendUtf8(ByteToAlphabet(static_cast<uint8_t>(c)), &piece);
  return piece;
}

// All bytes (ids are their values), "th" 256, "the" 257, " the" 258, two control tokens, one of the
// user.
Vocabulary ByteVocabulary() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.pieces.push_back(Spelt(std::string(1, static_cast<char>(byte))));
  }
  for (const char* piece : {"th", "the", " the"}) vocabulary.pieces.push_back(Spelt(piece));
  vocabulary.kinds.assign(vocabulary.pieces.size(), TokenKind::kNormal);
  vocabulary.pieces.insert(vocabulary.pieces.end(), {"<|im_start|>", "<|im_end|>", "<tool>"});
  vocabulary.kinds.insert(vocabulary.kinds.end(),
                          {TokenKind::kControl, TokenKind::kControl, TokenKind::kUserDefined});
  vocabulary.merges = {{"t", "h"}, {"th", "e"}, {Spelt(" "), "the"}};
  vocabulary.special.eos = 260;
  EXPECT_TRUE(ApplyNamedPreTokenizer("qwen2", &vocabulary).ok());
  return vocabulary;
}

// <unk> <s> </s>, the byte tokens from 3 on, then characters and a few words from 259 on.
Vocabulary CharacterVocabulary() {
  Vocabulary vocabulary;
  vocabulary.unit = PieceUnit::kCharacter;
  vocabulary.pieces = {"<unk>", "<s>", "</s>"};
  vocabulary.kinds = {TokenKind::kUnknown, TokenKind::kControl, TokenKind::kControl};
  constexpr char hex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.pieces.push_back(std::string("<0x") + hex[byte / 16] + hex[byte % 16] + ">");
    vocabulary.kinds.push_back(TokenKind::kByte);
  }
  vocabulary.scores.assign(vocabulary.pieces.size(), 0.0);
  const std::vector<std::pair<const char*, double>> pieces{
      {"\u2581", -9}, {"a", -9},        {"b", -9},           {"\u2581a", -1},
      {"ab", -2},     {"\u2581ab", -3}, {"\u2581\u2581", -4}};
  for (const auto& [piece, score] : pieces) {
    vocabulary.pieces.emplace_back(piece);
    vocabulary.kinds.push_back(TokenKind::kNormal);
    vocabulary.scores.push_back(score);
  }
  vocabulary.special.bos = 1;
  vocabulary.special.eos = 2;
  vocabulary.special.unk = 0;
  vocabulary.add_bos = true;
  vocabulary.rules = {
      .mark_spaces = true, .byte_fallback = true, .prefix = SpacePrefix::kEveryText};
  return vocabulary;
}

std::unique_ptr<Tokenizer> Make(Vocabulary vocabulary) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *std::move(tokenizer);
}

TEST(TokenizerTest, MergesBytesWithinWords) {
  const auto tokenizer = Make(ByteVocabulary());
  EXPECT_EQ(tokenizer->Encode("the the t", SpecialTokens::kPlain), (Ids{257, 258, ' ', 't'}));
  EXPECT_EQ(tokenizer->Encode("", SpecialTokens::kPlain), Ids{});
  EXPECT_EQ(tokenizer->Encode("\xC3\xA9\xFF", SpecialTokens::kPlain), (Ids{0xC3, 0xA9, 0xFF}));
}

TEST(TokenizerTest, TextBecomesControlTokensOnlyWhenAsked) {
  const auto tokenizer = Make(ByteVocabulary());
  const std::string text = "<|im_start|>the<tool><|im_end|>";
  EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kParse), (Ids{259, 257, 261, 260}));
  const Ids plain = tokenizer->Encode(text, SpecialTokens::kPlain);
  for (const TokenId id : plain) EXPECT_FALSE(tokenizer->IsControl(id));
  EXPECT_EQ(tokenizer->Decode(plain), text);
}

TEST(TokenizerTest, MergesNeverMakeAControlToken) {
  Vocabulary vocabulary = ByteVocabulary();
  vocabulary.pieces[257] = "the";
  vocabulary.kinds[257] = TokenKind::kControl;
  vocabulary.rules.ignore_merges = true;
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_EQ(tokenizer->Encode("the", SpecialTokens::kPlain), (Ids{256, 'e'}));
  EXPECT_EQ(tokenizer->Encode("the", SpecialTokens::kParse), Ids{257});
}

TEST(TokenizerTest, DecodeHidesOrShowsControlTokens) {
  const auto tokenizer = Make(ByteVocabulary());
  const Ids ids{259, 257, 261, 260, -1, 5000};
  EXPECT_EQ(tokenizer->Decode(ids), "the<tool>");
  EXPECT_EQ(tokenizer->Decode(ids, ControlTokens::kShow), "<|im_start|>the<tool><|im_end|>");
  EXPECT_EQ(tokenizer->TokenBytes(258), " the");
  EXPECT_EQ(tokenizer->TokenBytes(-7), "");
}

TEST(TokenizerTest, KnowsItsSpecialTokens) {
  const auto tokenizer = Make(ByteVocabulary());
  EXPECT_EQ(tokenizer->size(), 262U);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), 260);
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(260));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(259));
  EXPECT_FALSE(tokenizer->add_bos());
  EXPECT_EQ(tokenizer->Find("<tool>"), 261);
  EXPECT_EQ(tokenizer->Find("<none>"), std::nullopt);
}

TEST(TokenizerTest, IgnoreMergesTakesWholeWords) {
  Vocabulary vocabulary = ByteVocabulary();
  vocabulary.pieces.push_back(Spelt(" zzz"));
  vocabulary.kinds.push_back(TokenKind::kNormal);
  vocabulary.rules.ignore_merges = true;
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_EQ(tokenizer->Encode("the zzz", SpecialTokens::kPlain), (Ids{257, 262}));
}

TEST(TokenizerTest, BytesThatNoTokenSpellsBecomeReplacementCharacters) {
  Vocabulary vocabulary = ByteVocabulary();
  vocabulary.kinds[0xFF] = TokenKind::kUserDefined;  // its spelling is now the character U+00FF
  const auto tokenizer = Make(std::move(vocabulary));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a\xFF\xFE", SpecialTokens::kPlain)),
            "a\uFFFD\xFE");
  EXPECT_EQ(tokenizer->Encode("\u00FF", SpecialTokens::kPlain), Ids{0xFF});
}

TEST(TokenizerTest, MergesCharactersByScore) {
  const auto tokenizer = Make(CharacterVocabulary());
  EXPECT_EQ(tokenizer->Encode("ab", SpecialTokens::kPlain), Ids{264});
  EXPECT_EQ(tokenizer->Encode("aab", SpecialTokens::kPlain), (Ids{262, 263}));
  EXPECT_EQ(tokenizer->Encode("b a", SpecialTokens::kPlain), (Ids{259, 261, 262}));
  EXPECT_EQ(tokenizer->Encode("c", SpecialTokens::kPlain), (Ids{259, 3 + 'c'}));
  EXPECT_EQ(tokenizer->Encode("\xFF", SpecialTokens::kPlain), (Ids{259, 3 + 0xFF}));
  EXPECT_EQ(tokenizer->Encode("<s>a</s>a", SpecialTokens::kParse), (Ids{1, 262, 2, 262}));
  EXPECT_EQ(tokenizer->Encode("", SpecialTokens::kPlain), Ids{});
}

TEST(TokenizerTest, ByteTokensAreNotSpelt) {
  const auto tokenizer = Make(CharacterVocabulary());
  const Ids ids = tokenizer->Encode("<0x41>", SpecialTokens::kParse);
  EXPECT_EQ(ids.size(), 7U);
  EXPECT_EQ(tokenizer->Decode(ids), "<0x41>");
}

TEST(TokenizerTest, ThePrefixSpaceGoesAtTheStartOnly) {
  const auto tokenizer = Make(CharacterVocabulary());
  EXPECT_EQ(tokenizer->Decode(Ids{1, 262, 262}), "a a");
  EXPECT_EQ(tokenizer->Decode(Ids{260, 262}), "a a");
  EXPECT_EQ(tokenizer->Decode(Ids{3 + ' ', 260}), " a");
  const std::string shown = "<s>a</s>a b";
  EXPECT_EQ(
      tokenizer->Decode(tokenizer->Encode(shown, SpecialTokens::kParse), ControlTokens::kShow),
      shown);
}

TEST(TokenizerTest, UnknownCharactersFuseWhereTheyShould) {
  Vocabulary vocabulary = CharacterVocabulary();
  vocabulary.rules.byte_fallback = false;
  EXPECT_EQ(Make(vocabulary)->Encode("xyaz", SpecialTokens::kPlain), (Ids{259, 0, 0, 260, 0}));
  vocabulary.rules.fuse_unknown = true;
  EXPECT_EQ(Make(vocabulary)->Encode("xyaz", SpecialTokens::kPlain), (Ids{259, 0, 260, 0}));
}

TEST(TokenizerTest, AnyBytesComeBack) {
  std::mt19937 random(5);
  const auto bytes = Make(ByteVocabulary());
  const auto characters = Make(CharacterVocabulary());
  for (int i = 0; i < 3000; ++i) {
    const std::string text = RandomBytes(random, random() % 50);
    ASSERT_EQ(bytes->Decode(bytes->Encode(text, SpecialTokens::kPlain)), text);
    if (text.find("\u2581") != std::string::npos) continue;  // comes back as a space
    ASSERT_EQ(characters->Decode(characters->Encode(text, SpecialTokens::kPlain)), text)
        << QuoteForMessage(text);
  }
}

TEST(TokenizerTest, AMegabyteOfOneWordEnds) {
  for (const auto& tokenizer : {Make(ByteVocabulary()), Make(CharacterVocabulary())}) {
    for (const char* unit : {"a", "the", "ab", " ", "\u0301", "\xFF"}) {
      std::string text;
      while (text.size() < 1'000'000) text += unit;
      ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kPlain)), text);
    }
  }
}

TEST(TokenizerTest, ThreadsShareOne) {
  const auto tokenizer = Make(CharacterVocabulary());
  std::mt19937 random(9);
  const std::string text = RandomText(random, 2000);
  const Ids expected = tokenizer->Encode(text, SpecialTokens::kPlain);
  std::vector<Ids> found(4);
  {
    std::vector<std::jthread> threads;
    threads.reserve(found.size());
    for (Ids& ids : found) {
      threads.emplace_back([&] { ids = tokenizer->Encode(text, SpecialTokens::kPlain); });
    }
  }
  for (const Ids& ids : found) EXPECT_EQ(ids, expected);
}

struct BadCase {
  const char* name;
  std::function<void(Vocabulary*)> spoil;
  const char* message;
};

class BadVocabularyTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadVocabularyTest, IsRefusedWithItsReason) {
  Vocabulary vocabulary = CharacterVocabulary();
  GetParam().spoil(&vocabulary);
  const auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.status().message().find(GetParam().message), std::string::npos)
      << tokenizer.status().message();
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BadVocabularyTest,
    testing::Values(
        BadCase{"empty", [](Vocabulary* v) { v->pieces.clear(); }, "0 tokens"},
        BadCase{"long_piece", [](Vocabulary* v) { v->pieces[5] = std::string(1 << 20, 'x'); },
                "token 5"},
        BadCase{"kinds", [](Vocabulary* v) { v->kinds.pop_back(); }, "265 token types for 266"},
        BadCase{"kind", [](Vocabulary* v) { v->kinds[4] = static_cast<TokenKind>(9); }, "type 9"},
        BadCase{"byte_name", [](Vocabulary* v) { v->pieces[4] = "<0xG1>"; }, "\"<0xG1>\""},
        BadCase{"scores", [](Vocabulary* v) { v->scores.pop_back(); }, "265 scores for 266"},
        BadCase{"score",
                [](Vocabulary* v) { v->scores[9] = std::numeric_limits<double>::quiet_NaN(); },
                "token 9"},
        BadCase{"twice", [](Vocabulary* v) { v->pieces[265] = "a"; }, "260 and 265 are both \"a\""},
        BadCase{"bos", [](Vocabulary* v) { v->special.bos = 266; }, "ids are 0 to 265"},
        BadCase{"unk", [](Vocabulary* v) { v->special.unk = -1; }, "unknown token is -1"},
        BadCase{"end", [](Vocabulary* v) { v->end_of_generation = {1000}; }, "1000"},
        BadCase{"added", [](Vocabulary* v) { v->added = {{.id = 999}}; }, "999"},
        BadCase{"no_bos", [](Vocabulary* v) { v->special.bos.reset(); }, "none is named"},
        BadCase{"merge",
                [](Vocabulary* v) {
                  v->merges = {{"a", "b"}, {"a", "q"}};
                },
                "merge 1 of \"a\" and \"q\": the second"},
        BadCase{"merged",
                [](Vocabulary* v) {
                  v->merges = {{"b", "a"}};
                },
                "what they make"},
        BadCase{"unigram_bytes",
                [](Vocabulary* v) {
                  v->segmentation = Segmentation::kUnigram;
                  v->unit = PieceUnit::kByte;
                },
                "over bytes"},
        BadCase{"unigram_piece",
                [](Vocabulary* v) {
                  v->segmentation = Segmentation::kUnigram;
                  v->pieces[265] = std::string(kMaxUnigramBytes + 1, 'x');
                },
                "at most 512"},
        BadCase{"unigram_pieces",
                [](Vocabulary* v) {
                  v->segmentation = Segmentation::kUnigram;
                  for (int i = 0; i < (32 << 10) + 1; ++i) {
                    std::string piece = std::to_string(i);
                    piece.resize(kMaxUnigramBytes, 'x');
                    v->pieces.push_back(std::move(piece));
                    v->kinds.push_back(TokenKind::kNormal);
                    v->scores.push_back(0);
                  }
                },
                "in all"},
        BadCase{"large_score",
                [](Vocabulary* v) {
                  v->segmentation = Segmentation::kUnigram;
                  v->scores[9] = -1e31;
                },
                "token 9"},
        BadCase{"unknown_score",
                [](Vocabulary* v) {
                  v->segmentation = Segmentation::kUnigram;
                  v->unknown_score = std::numeric_limits<double>::infinity();
                },
                "unknown characters"},
        BadCase{"normalizer",
                [](Vocabulary* v) { v->rules.normalize = {{.kind = NormalizeKind::kReplaceText}}; },
                "empty text"},
        BadCase{"pattern", [](Vocabulary* v) { v->steps = {{.pattern = "("}}; }, "split pattern"}),
    [](const auto& bad) { return std::string(bad.param.name); });

TEST(ParseMergeTest, SplitsAtTheSpaceThatIsNotFirst) {
  const auto merge = ParseMerge("\u0120 the");
  ASSERT_TRUE(merge.ok());
  EXPECT_EQ(merge->left, "\u0120");
  EXPECT_EQ(merge->right, "the");
  for (const char* bad : {"", " ", "ab", "a ", " a"}) EXPECT_FALSE(ParseMerge(bad).ok()) << bad;
}

}  // namespace
}  // namespace sluice
