// What is read from tokenizer.json and what is refused; ids are tested in witness_test.cc.
#include "tokenizer/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

Json SmallFile() {
  return Json::parse(R"({
    "added_tokens": [
      {"id": 4, "content": "<|end|>", "special": true, "lstrip": true, "normalized": false},
      {"id": 5, "content": "<tool>", "special": false}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "post_processor": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3},
              "merges": ["a b", ["ab", "b"]], "ignore_merges": true}
  })");
}

Result<Vocabulary> Parse(const Json& file, const std::string& config = "") {
  return ParseTokenizerJson(file.dump(), config);
}

std::string Refusal(const char* pointer, const char* value) {
  Json file = SmallFile();
  file[Json::json_pointer(pointer)] = Json::parse(value);
  const Result<Vocabulary> vocabulary = Parse(file);
  return vocabulary.ok() ? "accepted" : vocabulary.status().message();
}

TEST(TokenizerJsonTest, ReadsAByteLevelFile) {
  const Result<Vocabulary> vocabulary = Parse(SmallFile());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  EXPECT_EQ(vocabulary->unit, PieceUnit::kByte);
  EXPECT_EQ(vocabulary->pieces,
            (std::vector<std::string>{"a", "b", "ab", "abb", "<|end|>", "<tool>"}));
  EXPECT_EQ(vocabulary->kinds[4], TokenKind::kControl);
  EXPECT_EQ(vocabulary->kinds[5], TokenKind::kUserDefined);
  EXPECT_EQ(vocabulary->merges.size(), 2U);
  EXPECT_EQ(vocabulary->merges[1].left, "ab");
  ASSERT_EQ(vocabulary->rules.normalize.size(), 1U);
  EXPECT_EQ(vocabulary->rules.normalize[0].kind, NormalizeKind::kNfc);
  EXPECT_TRUE(vocabulary->rules.ignore_merges);
  ASSERT_EQ(vocabulary->added.size(), 2U);
  EXPECT_TRUE(vocabulary->added[0].lstrip);
  EXPECT_FALSE(vocabulary->added[0].normalized);
  EXPECT_TRUE(vocabulary->added[1].normalized);
  EXPECT_TRUE(Tokenizer::Create(*vocabulary).ok());
}

TEST(TokenizerJsonTest, TakesSpecialIdsFromTheConfigBesideIt) {
  const Result<Vocabulary> vocabulary =
      Parse(SmallFile(), R"({"bos_token": null, "eos_token": {"content": "<|end|>"},
                             "pad_token": "<|end|>", "add_eos_token": true, "add_bos_token": true})");
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->special.bos, std::nullopt);
  EXPECT_EQ(vocabulary->special.eos, 4);
  EXPECT_EQ(vocabulary->special.pad, 4);
  EXPECT_TRUE(vocabulary->add_eos);
  EXPECT_FALSE(vocabulary->add_bos);  // there is none to add
}

TEST(TokenizerJsonTest, TakesBosFromTheTemplateUnlessTheConfigForbids) {
  Json file = SmallFile();
  file["post_processor"] = Json::parse(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|end|>"}}, {"Sequence": {"id": "A"}}]}]})");
  EXPECT_TRUE(Parse(file)->add_bos);
  EXPECT_EQ(Parse(file)->special.bos, 4);
  EXPECT_FALSE(Parse(file)->add_eos);
  EXPECT_FALSE(Parse(file, R"({"add_bos_token": false})")->add_bos);
}

TEST(TokenizerJsonTest, HolesInTheIdsAreUnusedTokens) {
  Json file = SmallFile();
  file["added_tokens"][1]["id"] = 9;
  const Result<Vocabulary> vocabulary = Parse(file);
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->pieces.size(), 10U);
  EXPECT_EQ(vocabulary->kinds[7], TokenKind::kUnused);
  const auto tokenizer = Tokenizer::Create(*vocabulary);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->TokenBytes(7), "");
}

TEST(TokenizerJsonTest, ReadsEveryKindOfSplit) {
  Json file = SmallFile();
  file["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"String": "a.b"}, "behavior": "MergedWithNext", "invert": true},
      {"type": "Split", "pattern": {"Regex": "x+"}, "behavior": "Removed"},
      {"type": "Digits", "individual_digits": true}, {"type": "Punctuation"},
      {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  const Result<Vocabulary> vocabulary = Parse(file);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  ASSERT_EQ(vocabulary->steps.size(), 6U);
  EXPECT_EQ(vocabulary->steps[0].pattern, R"(a\.b)");
  EXPECT_EQ(vocabulary->steps[0].behavior, SplitBehavior::kMergedWithNext);
  EXPECT_TRUE(vocabulary->steps[0].invert);
  EXPECT_EQ(vocabulary->steps[2].pattern, R"(\p{N})");
  EXPECT_TRUE(Tokenizer::Create(*vocabulary).ok());
}

TEST(TokenizerJsonTest, NamesWhatItDoesNotSupport) {
  const auto expect = [](const char* pointer, const char* value, const char* message) {
    EXPECT_NE(Refusal(pointer, value).find(message), std::string::npos)
        << pointer << ": " << Refusal(pointer, value);
  };
  expect("/model/type", R"("WordPiece")", "\"WordPiece\"");
  expect("/model/type", R"("Unigram")", "ByteLevel");
  expect("/model/end_of_word_suffix", R"("</w>")", "end_of_word_suffix");
  expect("/normalizer", R"({"type": "Lowercase"})", "\"Lowercase\"");
  expect("/normalizer", R"({"type": "Prepend", "prepend": "\u2581"})", "keeps spaces");
  expect("/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "?"})", "charsmap");
  expect("/normalizer", R"({"type": "Replace", "pattern": {}, "content": "x"})", "Replace");
  expect("/normalizer",
         R"({"type": "Sequence", "normalizers": [
             {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, {"type": "NFKC"}]})",
         "\"NFKC\"");
  expect("/pre_tokenizer", R"({"type": "BertPreTokenizer"})", "\"BertPreTokenizer\"");
  expect("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_"})", "U+2581");
  expect("/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Odd"})",
         "\"Odd\"");
  expect("/pre_tokenizer", R"({"type": "Split"})", "without a pattern");
  for (const char* before : {R"({"type": "Digits"})",
                             R"({"type": "Split", "behavior": "Removed", "invert": true,
                                 "pattern": {"Regex": "\\s"}})"}) {
    const std::string stages = R"({"type": "Sequence", "pretokenizers": [)" + std::string(before) +
                               R"(, {"type": "Metaspace", "replacement": "\u2581"}]})";
    expect("/pre_tokenizer", stages.c_str(), "Metaspace after another split");
  }
  expect("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
             {"type": "Metaspace", "replacement": "\u2581", "split": false}]})",
         "Metaspace after another split");
  expect("/pre_tokenizer",
         R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})",
         "\"Digits\"");
}

Json UnigramFile() {
  return Json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<end>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Nmt"}, {"type": "NFKC"}, {"type": "Strip", "strip_left": false, "strip_right": true},
      {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"},
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
              "vocab": [["<unk>", 0.0], ["\u2581", -2.5], ["a", -7]]}
  })");
}

TEST(TokenizerJsonTest, ReadsAUnigramFile) {
  const Result<Vocabulary> vocabulary = Parse(UnigramFile());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  EXPECT_EQ(vocabulary->segmentation, Segmentation::kUnigram);
  EXPECT_EQ(vocabulary->pieces, (std::vector<std::string>{"<unk>", "\u2581", "a", "<end>"}));
  EXPECT_EQ(vocabulary->scores, (std::vector<double>{0, -2.5, -7, 0}));
  EXPECT_EQ(vocabulary->unknown_score, -17);
  EXPECT_EQ(vocabulary->special.unk, 0);
  EXPECT_EQ(vocabulary->kinds[0], TokenKind::kUnknown);
  EXPECT_EQ(vocabulary->kinds[3], TokenKind::kControl);
  std::vector<NormalizeKind> kinds;
  for (const NormalizeStep& step : vocabulary->rules.normalize) kinds.push_back(step.kind);
  EXPECT_EQ(kinds, (std::vector<NormalizeKind>{NormalizeKind::kNmt, NormalizeKind::kNfkc,
                                               NormalizeKind::kStripRight,
                                               NormalizeKind::kReplacePattern}));
  const auto tokenizer = Tokenizer::Create(*vocabulary);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode("a <end>bb", SpecialTokens::kParse),
            (std::vector<TokenId>{1, 2, 3, 1, 0}));
}

TEST(TokenizerJsonTest, RefusesADamagedUnigramFile) {
  const auto expect = [](const char* pointer, const char* value, const char* message) {
    Json file = UnigramFile();
    file[Json::json_pointer(pointer)] = Json::parse(value);
    const Result<Vocabulary> vocabulary = Parse(file);
    const std::string refusal = vocabulary.ok() ? Tokenizer::Create(*vocabulary).status().message()
                                                : vocabulary.status().message();
    EXPECT_NE(refusal.find(message), std::string::npos) << pointer << ": " << refusal;
  };
  expect("/model/vocab", "{}", "model.vocab");
  expect("/model/vocab/1", R"(["a"])", "piece 1");
  expect("/model/vocab/1", R"(["a", "b"])", "piece 1");
  expect("/model/vocab/1", R"(["a", -2])", "both \"a\"");
  expect("/model/unk_id", "4", "unk_id");
  expect("/model/unk_id", "-1", "unk_id");
  expect("/model/unk_id", "\"x\"", "unk_id");
  expect("/pre_tokenizer", R"({"type": "ByteLevel"})", "ByteLevel");
}

TEST(TokenizerJsonTest, ReadsWordsThatMetaspaceMarks) {
  Json file = UnigramFile();
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581"}]})");
  Result<Vocabulary> vocabulary = Parse(file);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  const auto tokenizer = Tokenizer::Create(*std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->Encode(" \n a\t\u2581a \u3000a ", SpecialTokens::kPlain),
            (std::vector<TokenId>{1, 2, 1, 2, 1, 2}));
  file["added_tokens"][0]["normalized"] = true;
  EXPECT_NE(Parse(file).status().message().find("whitespace before Metaspace"), std::string::npos);
  file["pre_tokenizer"]["pretokenizers"][1]["prepend_scheme"] = "first";
  EXPECT_NE(Parse(file).status().message().find("Metaspace after another"), std::string::npos);
}

TEST(TokenizerJsonTest, RefusesWhatContradictsItself) {
  const auto expect = [](const char* pointer, const char* value, const char* message) {
    EXPECT_NE(Refusal(pointer, value).find(message), std::string::npos)
        << pointer << ": " << Refusal(pointer, value);
  };
  expect("/model/vocab", "[]", "model.vocab");
  expect("/model/vocab/a", "-1", "\"a\" has no id");
  expect("/model/vocab/a", "1.5", "\"a\" has no id");
  expect("/model/vocab/a", "\"0\"", "\"a\" has no id");
  expect("/model/vocab/a", "100000000", "\"a\" has no id");
  expect("/model/vocab/a", "1", "both have id 1");
  expect("/model/merges", "{}", "model.merges");
  expect("/model/merges/0", "7", "merge 0");
  expect("/model/merges/0", "\"ab\"", "\"ab\"");
  expect("/model/merges/0", R"(["a", "b", "c"])", "merge 0");
  expect("/added_tokens/0/content", "\"\"", "without content");
  expect("/added_tokens/0/id", "2", "both have id 2");
}

TEST(TokenizerJsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", "[]", "{", "{\"a\": \xFF}", "null"}) {
    EXPECT_FALSE(ParseTokenizerJson(text, "").ok()) << text;
  }
  EXPECT_FALSE(ParseTokenizerJson(std::string(1'000'000, '['), "").ok());
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100; ++i) deep += "{\"a\":";
  EXPECT_NE(ParseTokenizerJson(deep, "").status().message().find("deeper"), std::string::npos);
  EXPECT_FALSE(Parse(SmallFile(), "{").ok());
}

}  // namespace
}  // namespace sluice
