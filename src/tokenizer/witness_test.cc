// Reproduces what `tokenizers` and `sentencepiece` made of difficult texts with small tokenizers
// (tests/tokenizer/make_fixtures.py), and how `tokenizers` cuts them into words (make_splits.py).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

std::string ReadFixture(const std::string& name) {
  std::ifstream file("tests/tokenizer/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<Tokenizer> Make(Result<Vocabulary> vocabulary) {
  if (!vocabulary.ok()) {
    ADD_FAILURE() << vocabulary.status().message();
    return nullptr;
  }
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(*std::move(vocabulary));
  if (!tokenizer.ok()) {
    ADD_FAILURE() << tokenizer.status().message();
    return nullptr;
  }
  return *std::move(tokenizer);
}

std::unique_ptr<Tokenizer> FromTokenizerJson(const std::string& name) {
  return Make(ParseTokenizerJson(ReadFixture(name + ".tokenizer.json"), ""));
}

double LowestScore(const Vocabulary& vocabulary) {
  double lowest = 0;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.kinds[id] == TokenKind::kNormal)
      lowest = std::min(lowest, vocabulary.scores[id]);
  }
  return lowest;
}

// A SentencePiece model as the GGUF reader would hand it over.
std::unique_ptr<Tokenizer> FromGgufFields(const std::string& name) {
  const Json fields = Json::parse(ReadFixture(name + ".gguf.json"));
  Vocabulary vocabulary;
  vocabulary.unit = PieceUnit::kCharacter;
  vocabulary.pieces = fields["pieces"].get<std::vector<std::string>>();
  vocabulary.scores = fields["scores"].get<std::vector<double>>();
  for (const Json& kind : fields["kinds"]) {
    vocabulary.kinds.push_back(static_cast<TokenKind>(kind.get<int>()));
  }
  vocabulary.special.bos = fields["bos"].get<TokenId>();
  vocabulary.special.eos = fields["eos"].get<TokenId>();
  vocabulary.special.unk = fields["unk"].get<TokenId>();
  vocabulary.rules = {.mark_spaces = true,
                      .byte_fallback = true,
                      .fuse_unknown = true,
                      .prefix = SpacePrefix::kEveryText};
  if (fields.contains("unigram")) {
    vocabulary.segmentation = Segmentation::kUnigram;
    vocabulary.unknown_score = LowestScore(vocabulary) - kUnknownPenalty;
    vocabulary.rules.byte_fallback = name == "sentencepiece_unigram";
    const std::string charsmap = *DecodeBase64(fields["charsmap"].get<std::string>());
    auto& steps = vocabulary.rules.normalize;
    if (!charsmap.empty()) steps.push_back({.kind = NormalizeKind::kCharsmap, .from = charsmap});
    if (fields["merge_spaces"].get<bool>()) steps.push_back({.kind = NormalizeKind::kMergeSpaces});
  }
  return Make(std::move(vocabulary));
}

std::string Stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer, StreamStart::kNewText);
  std::string text;
  for (const TokenId id : ids) text += decoder.Push(id);
  return text + decoder.Flush();
}

void ExpectLine(const Tokenizer& tokenizer, const Json& line, SpecialTokens special) {
  const auto text = line["text"].get<std::string>();
  const auto ids = line["ids"].get<std::vector<TokenId>>();
  SCOPED_TRACE(line["text"].dump());
  EXPECT_EQ(tokenizer.Encode(text, special), ids);
  const Json decoded = line.value("decoded", Json(text));
  if (!decoded.is_null()) {
    EXPECT_EQ(tokenizer.Decode(ids), decoded.get<std::string>());
    EXPECT_EQ(Stream(tokenizer, ids), decoded.get<std::string>());
  }
  if (line.contains("plain")) {
    EXPECT_EQ(tokenizer.Encode(text, SpecialTokens::kPlain),
              line["plain"].get<std::vector<TokenId>>());
  }
}

class WitnessTest : public testing::TestWithParam<const char*> {};

TEST_P(WitnessTest, EveryLineOfTokenizersIsReproduced) {
  const std::unique_ptr<Tokenizer> tokenizer = FromTokenizerJson(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const Json lines = Json::parse(ReadFixture(std::string(GetParam()) + ".lines.json"));
  ASSERT_GE(lines.size(), 140U);
  for (const Json& line : lines) ExpectLine(*tokenizer, line, SpecialTokens::kParse);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WitnessTest,
                         testing::Values("gpt2", "qwen2", "llama3", "gpt4o", "deepseek",
                                         "metaspace", "metaspace_first", "prepend", "unigram",
                                         "unigram_bytes", "unigram_words", "charsmap"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(SentencePieceWitnessTest, EveryLineIsReproducedFromBothForms) {
  const std::unique_ptr<Tokenizer> scored = FromGgufFields("sentencepiece");
  const std::unique_ptr<Tokenizer> merged = FromTokenizerJson("sentencepiece");
  ASSERT_NE(scored, nullptr);
  ASSERT_NE(merged, nullptr);
  const Json lines = Json::parse(ReadFixture("sentencepiece.lines.json"));
  ASSERT_GT(lines.size(), 200U);
  for (const Json& line : lines) {
    ExpectLine(*scored, line, SpecialTokens::kPlain);
    ExpectLine(*merged, line, SpecialTokens::kPlain);
  }
}

TEST(SentencePieceWitnessTest, EveryLineOfAUnigramModelIsReproduced) {
  for (const char* name : {"sentencepiece_unigram", "sentencepiece_charsmap"}) {
    SCOPED_TRACE(name);
    const std::unique_ptr<Tokenizer> tokenizer = FromGgufFields(name);
    ASSERT_NE(tokenizer, nullptr);
    const Json lines = Json::parse(ReadFixture(std::string(name) + ".lines.json"));
    ASSERT_GE(lines.size(), 120U);
    for (const Json& line : lines) ExpectLine(*tokenizer, line, SpecialTokens::kPlain);
  }
}

const Json& Splits() {
  static const Json splits = Json::parse(ReadFixture("splits.json"));
  return splits;
}

constexpr char32_t kSurrogates = 0xD800;
constexpr char32_t kAfterSurrogates = 0xE000;

// The classes of every code point as the package `tokenizers` sees them.
std::vector<uint32_t> WitnessClasses() {
  const std::vector<std::pair<const char*, uint32_t>> patterns{
      {R"([\p{Lu}\p{Lt}])", kUpper}, {R"(\p{Ll})", kLower}, {R"([\p{Lm}\p{Lo}])", kOtherLetter},
      {R"(\p{M})", kMark},           {R"(\p{N})", kNumber}, {R"(\s)", kSpace},
      {R"(\p{P})", kPunctuation},    {R"(\p{S})", kSymbol}};
  std::vector<uint32_t> classes(0x110000);
  for (const auto& [pattern, bit] : patterns) {
    size_t position = 0;  // among code points without the surrogates
    bool within = false;
    for (const Json& length : Splits()["classes"][pattern]) {
      for (size_t end = position + length.get<size_t>(); position < end; ++position) {
        const size_t code =
            position < kSurrogates ? position : position + (kAfterSurrogates - kSurrogates);
        if (within) classes[code] |= bit;
      }
      within = !within;
    }
  }
  return classes;
}

struct CodeRange {
  char32_t first;
  char32_t last;
  bool operator==(const CodeRange&) const = default;
};

// Ours are the classes of Unicode 15, theirs those of Unicode 16: the characters that 15.1 and 16
// added.
const std::vector<CodeRange>& NewInUnicode16() {
  static const std::vector<CodeRange> ranges{
      {0x897, 0x897},     {0x1B4E, 0x1B4F},   {0x1B7F, 0x1B7F},   {0x1C89, 0x1C8A},
      {0x2427, 0x2429},   {0x2FFC, 0x2FFF},   {0x31E4, 0x31E5},   {0x31EF, 0x31EF},
      {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3}, {0x10D40, 0x10D65},
      {0x10D69, 0x10D85}, {0x10D8E, 0x10D8F}, {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC},
      {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5},
      {0x113B7, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113CA},
      {0x113CC, 0x113D5}, {0x113D7, 0x113D8}, {0x113E1, 0x113E2}, {0x116D0, 0x116E3},
      {0x11BC0, 0x11BE1}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A}, {0x13460, 0x143FA},
      {0x16100, 0x16139}, {0x16D40, 0x16D79}, {0x18CFF, 0x18CFF}, {0x1CC00, 0x1CCF9},
      {0x1CD00, 0x1CEB3}, {0x1E5D0, 0x1E5FA}, {0x1E5FF, 0x1E5FF}, {0x1F8B2, 0x1F8BB},
      {0x1F8C0, 0x1F8C1}, {0x1FA89, 0x1FA89}, {0x1FA8F, 0x1FA8F}, {0x1FABE, 0x1FABE},
      {0x1FAC6, 0x1FAC6}, {0x1FADC, 0x1FADC}, {0x1FADF, 0x1FADF}, {0x1FAE9, 0x1FAE9},
      {0x1FBCB, 0x1FBEF}, {0x2EBF0, 0x2EE5D}};
  return ranges;
}

TEST(SplitWitnessTest, ClassesDifferWhereUnicode16AddedCharactersOnly) {
  const std::vector<uint32_t> theirs = WitnessClasses();
  std::vector<CodeRange> differing;
  for (char32_t code = 0; code < theirs.size(); ++code) {
    if (code >= kSurrogates && code < kAfterSurrogates) continue;
    if (theirs[code] == ClassOf(code)) continue;
    if (!differing.empty() && differing.back().last == code - 1) {
      differing.back().last = code;
    } else {
      differing.push_back({.first = code, .last = code});
    }
  }
  std::string listed;
  for (const CodeRange& range : differing) {
    listed += fmt::format("{{0x{:X}, 0x{:X}}}, ", static_cast<uint32_t>(range.first),
                          static_cast<uint32_t>(range.last));
  }
  EXPECT_EQ(differing, NewInUnicode16()) << listed;
}

bool IsNewInUnicode16(char32_t code) {
  return std::ranges::any_of(NewInUnicode16(), [code](const CodeRange& range) {
    return code >= range.first && code <= range.last;
  });
}

bool HasNewCharacters(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text, i);
    if (IsNewInUnicode16(c.code)) return true;
    i += c.bytes;
  }
  return false;
}

TEST(SplitWitnessTest, NamedPreTokenizersCutAsTheirTokenizerJson) {
  const auto texts = Splits()["texts"].get<std::vector<std::string>>();
  ASSERT_GT(texts.size(), 200U);
  size_t skipped = 0;
  for (const auto& [name, words] : Splits()["words"].items()) {
    SCOPED_TRACE(name);
    Vocabulary vocabulary;
    ASSERT_TRUE(ApplyNamedPreTokenizer(name, &vocabulary).ok());
    const Result<PreTokenizer> pre_tokenizer = PreTokenizer::Create(vocabulary.steps);
    ASSERT_TRUE(pre_tokenizer.ok());
    for (size_t i = 0; i < texts.size(); ++i) {
      if (HasNewCharacters(texts[i])) {
        ++skipped;
        continue;
      }
      std::vector<size_t> bytes;
      for (const TextSpan& word : pre_tokenizer->Split(texts[i])) {
        bytes.push_back(word.end - word.begin);
      }
      EXPECT_EQ(bytes, words[i].get<std::vector<size_t>>()) << QuoteForMessage(texts[i]);
    }
  }
  EXPECT_LT(skipped, texts.size());  // of every pre-tokenizer
}

}  // namespace
}  // namespace sluice
