// Reproduces what `tokenizers` and `sentencepiece` made of difficult texts with small tokenizers
// (tests/tokenizer/make_fixtures.py).
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

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

// A SentencePiece model as the GGUF reader would hand it over.
std::unique_ptr<Tokenizer> FromGgufFields(const std::string& name) {
  const Json fields = Json::parse(ReadFixture(name + ".gguf.json"));
  Vocabulary vocabulary;
  vocabulary.bpe = BpeKind::kSentencePiece;
  vocabulary.pieces = fields["pieces"].get<std::vector<std::string>>();
  vocabulary.scores = fields["scores"].get<std::vector<float>>();
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
  const auto decoded = line.contains("decoded") ? line["decoded"].get<std::string>() : text;
  SCOPED_TRACE(line["text"].dump());
  EXPECT_EQ(tokenizer.Encode(text, special), ids);
  EXPECT_EQ(tokenizer.Decode(ids), decoded);
  EXPECT_EQ(Stream(tokenizer, ids), decoded);
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
  ASSERT_GT(lines.size(), 200U);
  for (const Json& line : lines) ExpectLine(*tokenizer, line, SpecialTokens::kParse);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WitnessTest,
                         testing::Values("gpt2", "qwen2", "llama3", "gpt4o", "deepseek",
                                         "metaspace", "metaspace_first", "prepend"),
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

}  // namespace
}  // namespace sluice
