#include "convert/tokenizer_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

void AddTokens(const Vocabulary& vocabulary, int64_t rows, KeyList* keys) {
  std::vector<std::string> tokens = vocabulary.pieces;
  std::vector<int32_t> kinds;
  for (const TokenKind kind : vocabulary.kinds) kinds.push_back(static_cast<int32_t>(kind));
  kinds.resize(tokens.size(), static_cast<int32_t>(TokenKind::kNormal));
  tokens.resize(std::max(tokens.size(), static_cast<size_t>(rows)));
  kinds.resize(tokens.size(), static_cast<int32_t>(TokenKind::kUnused));
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty()) tokens[i] = fmt::format("[PAD{}]", i);
  }
  if (vocabulary.special.unk) {
    int32_t& kind = kinds[static_cast<size_t>(*vocabulary.special.unk)];
    if (kind == static_cast<int32_t>(TokenKind::kControl) ||
        kind == static_cast<int32_t>(TokenKind::kNormal)) {
      kind = static_cast<int32_t>(TokenKind::kUnknown);
    }
  }
  keys->Add("tokenizer.ggml.tokens", std::move(tokens));
  keys->Add("tokenizer.ggml.token_type", std::move(kinds));
}

// SentencePiece merges by score. Of a list of merges the first that makes a piece is the one that
// counts; pieces that no merge makes come last.
std::vector<float> ScoresOf(const Vocabulary& vocabulary, size_t tokens) {
  std::vector<float> scores(vocabulary.scores.begin(), vocabulary.scores.end());
  if (scores.empty()) {
    std::unordered_map<std::string, size_t> ranks;
    for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
      ranks.emplace(vocabulary.merges[i].left + vocabulary.merges[i].right, i);
    }
    for (const std::string& piece : vocabulary.pieces) {
      const auto rank = ranks.find(piece);
      const size_t place = rank == ranks.end() ? vocabulary.merges.size() : rank->second;
      scores.push_back(-static_cast<float>(place));
    }
  }
  scores.resize(tokens, 0.0F);
  return scores;
}

void AddSpecial(const Vocabulary& vocabulary, KeyList* keys) {
  const auto add = [keys](const char* name, std::optional<TokenId> id) {
    if (id) keys->AddCount(fmt::format("tokenizer.ggml.{}_token_id", name), *id);
  };
  const SpecialIds& special = vocabulary.special;
  std::vector<TokenId> ends;
  for (const std::optional<TokenId> id : {special.eos, special.eot}) {
    if (id) ends.push_back(*id);
  }
  for (const TokenId id : vocabulary.end_of_generation) {
    if (std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  }
  add("bos", special.bos);
  // As many as GGUF has keys for.
  const char* names[] = {"eos", "eot", "eom"};
  for (size_t i = 0; i < std::min(ends.size(), std::size(names)); ++i) add(names[i], ends[i]);
  add("unknown", special.unk);
  add("padding", special.pad);
  keys->Add("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  keys->Add("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
}

}  // namespace

Status AddTokenizerKeys(const Vocabulary& vocabulary, int64_t rows,
                        const std::string& pre_tokenizer, KeyList* keys) {
  const bool byte_level = vocabulary.unit == PieceUnit::kByte;
  if (vocabulary.segmentation == Segmentation::kUnigram) {
    return UnsupportedError(
        "a Unigram tokenizer is read but not written; take a GGUF file of the model that has its "
        "tokenizer, and convert that");
  }
  // Readers of GGUF know by the pre-tokenizer's name whether text is brought to NFC.
  const auto lost = [&](const NormalizeStep& step) {
    return !byte_level || step.kind != NormalizeKind::kNfc;
  };
  if (std::ranges::any_of(vocabulary.rules.normalize, lost)) {
    return UnsupportedError("tokenizer.json: GGUF has no key for the tokenizer's normalizer");
  }
  std::string name = pre_tokenizer;
  if (!name.empty() && !byte_level) {
    return InvalidArgumentError(
        "--pre is for tokenizers that merge bytes; this one is SentencePiece's, which splits alike "
        "everywhere");
  }
  if (!name.empty()) {
    Vocabulary named;
    const Status known = ApplyNamedPreTokenizer(name, &named);
    if (!known.ok()) return InvalidArgumentError("--pre: " + known.message());
  }
  if (byte_level && name.empty()) {
    const std::optional<std::string_view> found = NameOfPreTokenizer(vocabulary);
    if (!found) {
      return UnsupportedError(
          "no name of GGUF's fits how the tokenizer splits text; give one with --pre if you know "
          "which it is");
    }
    name = *found;
  }
  keys->Add("tokenizer.ggml.model", std::string(byte_level ? "gpt2" : "llama"));
  keys->Add("tokenizer.ggml.pre", byte_level ? name : std::string("default"));
  AddTokens(vocabulary, rows, keys);
  if (byte_level) {
    std::vector<std::string> merges;
    for (const Merge& merge : vocabulary.merges) merges.push_back(merge.left + " " + merge.right);
    keys->Add("tokenizer.ggml.merges", std::move(merges));
  } else {
    const size_t tokens = std::max(vocabulary.pieces.size(), static_cast<size_t>(rows));
    keys->Add("tokenizer.ggml.scores", ScoresOf(vocabulary, tokens));
    keys->Add("tokenizer.ggml.add_space_prefix", vocabulary.rules.prefix != SpacePrefix::kNever);
  }
  AddSpecial(vocabulary, keys);
  return {};
}

}  // namespace sluice
