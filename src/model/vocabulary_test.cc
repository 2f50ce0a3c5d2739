// Reproduces every line of the vocabulary vectors in ../shared/data/tokenizers, where they are.
#include "model/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace sluice {
namespace {

constexpr char kFolder[] = "../shared/data/tokenizers/";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The texts between the separator lines.
std::vector<std::string> TextsOf(const std::string& content) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find(separator, begin);
    if (end == std::string::npos) break;
    texts.push_back(content.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return texts;
}

std::vector<std::vector<TokenId>> IdsOf(const std::string& content) {
  std::vector<std::vector<TokenId>> lines;
  std::istringstream stream(content);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::vector<TokenId> ids;
    for (TokenId id = 0; words >> id;) ids.push_back(id);
    lines.push_back(ids);
  }
  return lines;
}

std::unique_ptr<Tokenizer> OpenTokenizer(const std::string& path) {
  Result<Checkpoint> checkpoint = OpenCheckpoint(path);
  Status status = checkpoint.status();
  if (status.ok()) {
    Result<Vocabulary> vocabulary = VocabularyOf(*checkpoint);
    status = vocabulary.status();
    if (status.ok()) {
      auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
      if (tokenizer.ok()) return *std::move(tokenizer);
      status = tokenizer.status();
    }
  }
  ADD_FAILURE() << status.message();
  return nullptr;
}

void ExpectLine(const Tokenizer& tokenizer, const std::string& text,
                const std::vector<TokenId>& expected) {
  SCOPED_TRACE(text);
  const std::vector<TokenId> ids = tokenizer.Encode(text, SpecialTokens::kPlain);
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(tokenizer.Decode(ids), text);
  StreamDecoder stream(tokenizer, StreamStart::kNewText);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.Push(id);
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(stream.Flush(), "");
}

class VocabularyVectorsTest : public testing::TestWithParam<const char*> {
 protected:
  std::string Path() const { return std::string(kFolder) + "ggml-vocab-" + GetParam() + ".gguf"; }
};

TEST_P(VocabularyVectorsTest, EveryLineIsReproduced) {
  if (!std::filesystem::exists(Path() + ".inp")) GTEST_SKIP() << Path() << ".inp is absent";
  if (!std::filesystem::exists(Path())) {
    GTEST_SKIP() << Path() << " is absent: texts and ids without their vocabulary";
  }
  const std::unique_ptr<Tokenizer> tokenizer = OpenTokenizer(Path());
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<std::string> texts = TextsOf(ReadFile(Path() + ".inp"));
  const std::vector<std::vector<TokenId>> expected = IdsOf(ReadFile(Path() + ".out"));
  ASSERT_EQ(texts.size(), 46U);
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) ExpectLine(*tokenizer, texts[i], expected[i]);
}

INSTANTIATE_TEST_SUITE_P(Families, VocabularyVectorsTest,
                         testing::Values("gpt-2", "llama-spm", "deepseek-llm", "qwen2"),
                         [](const auto& family) {
                           std::string name = family.param;
                           std::erase(name, '-');
                           return name;
                         });

Metadata SmallMetadata() {
  Metadata metadata("small.gguf");
  metadata.Insert("tokenizer.ggml.model", std::string("llama"));
  metadata.Insert("tokenizer.ggml.tokens",
                  std::vector<std::string>{"<unk>", "<s>", "▁", "a", "▁a"});
  metadata.Insert("tokenizer.ggml.token_type", std::vector<int64_t>{2, 3, 1, 1, 1});
  metadata.Insert("tokenizer.ggml.scores", std::vector<double>{0, 0, -2, -3, -1});
  metadata.Insert("tokenizer.ggml.bos_token_id", uint64_t{1});
  metadata.Insert("tokenizer.ggml.unknown_token_id", uint64_t{0});
  return metadata;
}

TEST(VocabularyFromGgufTest, ReadsASentencePieceModel) {
  Result<Vocabulary> vocabulary = VocabularyFromGguf(SmallMetadata());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  EXPECT_TRUE(vocabulary->add_bos);
  EXPECT_EQ(vocabulary->special.bos, 1);
  EXPECT_EQ(vocabulary->special.eos, std::nullopt);
  const auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("aa ab", SpecialTokens::kPlain),
            (std::vector<TokenId>{4, 3, 4, 0}));
}

// The message with which the small file is refused where `key` has another value.
std::string Refusal(const std::string& key, MetadataValue value) {
  Metadata metadata("small.gguf");
  metadata.Insert(key, std::move(value));
  const Metadata whole = SmallMetadata();
  for (const auto& [name, kept] : whole.values()) metadata.Insert(name, kept);
  Result<Vocabulary> vocabulary = VocabularyFromGguf(metadata);
  if (!vocabulary.ok()) return vocabulary.status().message();
  return Tokenizer::Create(*std::move(vocabulary)).status().message();
}

TEST(VocabularyFromGgufTest, SaysWhatIsWrong) {
  using testing::HasSubstr;
  using Ints = std::vector<int64_t>;
  EXPECT_THAT(Refusal("tokenizer.ggml.model", std::string("bert")),
              HasSubstr("\"bert\" is not known"));
  EXPECT_THAT(Refusal("tokenizer.ggml.model", std::string("gpt2")), HasSubstr("merges"));
  EXPECT_THAT(Refusal("tokenizer.ggml.token_type", Ints{2, 3, 1, 1, 9}), HasSubstr("holds 9"));
  EXPECT_THAT(Refusal("tokenizer.ggml.token_type", Ints{2, 3}), HasSubstr("2 token types"));
  EXPECT_THAT(Refusal("tokenizer.ggml.scores", std::vector<double>{0}),
              HasSubstr("1 scores for 5"));
  EXPECT_THAT(Refusal("tokenizer.ggml.bos_token_id", uint64_t{77}), HasSubstr("77"));
}

Metadata UnigramMetadata() {
  Metadata metadata("small.gguf");
  metadata.Insert("tokenizer.ggml.model", std::string("t5"));
  metadata.Insert("tokenizer.ggml.tokens",
                  std::vector<std::string>{"<pad>", "</s>", "<unk>", "▁", "a", "▁a"});
  metadata.Insert("tokenizer.ggml.token_type", std::vector<int64_t>{3, 3, 2, 1, 1, 1});
  metadata.Insert("tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -2, -3, -6});
  return metadata;
}

TEST(VocabularyFromGgufTest, ReadsAUnigramModel) {
  Metadata metadata = UnigramMetadata();
  metadata.Insert("tokenizer.ggml.add_space_prefix", true);
  metadata.Insert("tokenizer.ggml.remove_extra_whitespaces", true);
  Result<Vocabulary> vocabulary = VocabularyFromGguf(metadata);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  EXPECT_EQ(vocabulary->unknown_score, -16);
  EXPECT_FALSE(vocabulary->add_bos);
  EXPECT_TRUE(vocabulary->add_eos);
  EXPECT_EQ(vocabulary->special.eos, 1);
  EXPECT_EQ(vocabulary->special.unk, 2);
  const auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("  aa   bb ", SpecialTokens::kPlain),
            (std::vector<TokenId>{3, 4, 4, 3, 2}));
}

TEST(VocabularyFromGgufTest, AUnigramModelThatSaysLittleKeepsSpaces) {
  const auto tokenizer = Tokenizer::Create(VocabularyFromGguf(UnigramMetadata()).value());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("a  a", SpecialTokens::kPlain),
            (std::vector<TokenId>{4, 3, 3, 4}));
}

TEST(VocabularyFromGgufTest, RefusesADamagedTableOfCharacters) {
  Metadata metadata = UnigramMetadata();
  metadata.Insert("tokenizer.ggml.precompiled_charsmap", std::vector<int64_t>{8, 0, 0, 0, -1});
  const auto tokenizer = Tokenizer::Create(VocabularyFromGguf(metadata).value());
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_THAT(tokenizer.status().message(), testing::HasSubstr("precompiled charsmap"));
}

// As llama.cpp (src/llama-vocab.cpp): by name, unless the file says otherwise.
TEST(VocabularyFromGgufTest, ByteLevelFamiliesThatStartWithBos) {
  const auto starts = [](const char* name, std::optional<bool> said) {
    Metadata metadata("test.gguf");
    metadata.Insert("tokenizer.ggml.model", std::string("gpt2"));
    metadata.Insert("tokenizer.ggml.pre", std::string(name));
    metadata.Insert("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "<bos>"});
    metadata.Insert("tokenizer.ggml.merges", std::vector<std::string>{});
    metadata.Insert("tokenizer.ggml.bos_token_id", int64_t{2});
    if (said) metadata.Insert("tokenizer.ggml.add_bos_token", *said);
    const Result<Vocabulary> vocabulary = VocabularyFromGguf(metadata);
    EXPECT_TRUE(vocabulary.ok()) << vocabulary.status().message();
    return vocabulary.ok() && vocabulary->add_bos;
  };
  for (const char* name : {"llama-bpe", "llama3", "falcon3", "pixtral", "tekken"}) {
    EXPECT_TRUE(starts(name, {})) << name;
    EXPECT_FALSE(starts(name, false)) << name;
  }
  for (const char* name : {"gpt-2", "qwen2", "deepseek-llm", "dbrx", "gpt-4o"}) {
    EXPECT_FALSE(starts(name, {})) << name;
    EXPECT_TRUE(starts(name, true)) << name;
  }
}

TEST(VocabularyFromGgufTest, RefusesATableOfNumbersThatAreNoBytes) {
  for (const int64_t number : {256, 260, -129}) {
    Metadata metadata = UnigramMetadata();
    metadata.Insert("tokenizer.ggml.precompiled_charsmap",
                    std::vector<int64_t>{4, 0, 0, 0, number});
    EXPECT_THAT(VocabularyFromGguf(metadata).status().message(),
                testing::HasSubstr("numbers that are no bytes"));
  }
}

Result<Vocabulary> FromDirectory(const std::string& config, const std::string& generation) {
  Result<Metadata> metadata = MetadataFromJson(config, "config.json");
  if (!metadata.ok()) return metadata.status();
  return VocabularyOf({.kind = CheckpointKind::kHuggingFace,
                       .path = "model",
                       .metadata = *std::move(metadata),
                       .tensors = {},
                       .tokenizer_json = R"({"model": {"type": "BPE", "merges": [],
                                                       "vocab": {"a": 0, "b": 1, "c": 2}}})",
                       .tokenizer_config_json = {},
                       .generation_config_json = generation});
}

TEST(VocabularyOfTest, AnswersEndWhereTheGenerationConfigSays) {
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(FromDirectory(R"({"eos_token_id": 1})", "").value().end_of_generation, Ids{1});
  EXPECT_EQ(FromDirectory(R"({"eos_token_id": 1})", R"({"top_p": 0.8})").value().end_of_generation,
            Ids{1});
  EXPECT_EQ(FromDirectory(R"({"eos_token_id": 1})", R"({"eos_token_id": [2, 0]})")
                .value()
                .end_of_generation,
            (Ids{2, 0}));
  EXPECT_EQ(FromDirectory(R"({"eos_token_id": 1})", R"({"eos_token_id": [50256, 2]})")
                .value()
                .end_of_generation,
            Ids{2});
  const Result<Vocabulary> refused = FromDirectory("{}", R"({"eos_token_id": [-1]})");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), testing::HasSubstr("generation_config.json"));
  EXPECT_THAT(refused.status().message(), testing::HasSubstr("holds -1"));
}

}  // namespace
}  // namespace sluice
