// GGUF's tokenizer keys (ggml docs/gguf.md, and what its converters write) as a Vocabulary.
#include "model/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "tokenizer/tokenizer_json.h"

namespace sluice {
namespace {

constexpr char kPrefix[] = "tokenizer.ggml.";

std::string Key(const char* name) { return std::string(kPrefix) + name; }

Status ReadId(const Metadata& metadata, const char* name, std::optional<TokenId>* id) {
  const std::string key = Key(name);
  if (!metadata.Has(key)) return {};
  SLUICE_TRY_ASSIGN(const int64_t value,
                    metadata.Int(key, 0, static_cast<int64_t>(kMaxPieces) - 1));
  *id = static_cast<TokenId>(value);
  return {};
}

Status ReadPieces(const Metadata& metadata, Vocabulary* vocabulary) {
  SLUICE_TRY_ASSIGN(const std::vector<std::string>* pieces, metadata.Strings(Key("tokens")));
  if (pieces == nullptr) {
    return NotFoundError(metadata.source() + ": no " + Key("tokens") + ": it has no vocabulary");
  }
  vocabulary->pieces = *pieces;
  SLUICE_TRY_ASSIGN(const std::vector<int64_t>* kinds, metadata.Ints(Key("token_type")));
  if (kinds != nullptr) {
    vocabulary->kinds.reserve(kinds->size());
    for (const int64_t kind : *kinds) {
      if (kind < 0 || kind > static_cast<int64_t>(TokenKind::kByte)) {
        return CorruptError(
            fmt::format("{}: {} holds {}", metadata.source(), Key("token_type"), kind));
      }
      // 0 is "undefined", which nothing tells from an ordinary token.
      vocabulary->kinds.push_back(kind == 0 ? TokenKind::kNormal : static_cast<TokenKind>(kind));
    }
  }
  return {};
}

Status ReadByteLevel(const Metadata& metadata, Vocabulary* vocabulary) {
  vocabulary->unit = PieceUnit::kByte;
  SLUICE_TRY_ASSIGN(const std::vector<std::string>* merges, metadata.Strings(Key("merges")));
  if (merges == nullptr) {
    return NotFoundError(metadata.source() + ": no " + Key("merges") +
                         " for a byte-level encoding");
  }
  vocabulary->merges.reserve(merges->size());
  for (const std::string& text : *merges) {
    SLUICE_TRY_ASSIGN(Merge merge, ParseMerge(text));
    vocabulary->merges.push_back(std::move(merge));
  }
  SLUICE_TRY_ASSIGN(const std::string name, metadata.StringOr(Key("pre"), "default"));
  return ApplyNamedPreTokenizer(name, vocabulary);
}

Status ReadSentencePiece(const Metadata& metadata, Vocabulary* vocabulary) {
  vocabulary->unit = PieceUnit::kCharacter;
  SLUICE_TRY_ASSIGN(const std::vector<double>* scores, metadata.Floats(Key("scores")));
  if (scores != nullptr) vocabulary->scores.assign(scores->begin(), scores->end());
  SLUICE_TRY_ASSIGN(const bool prefix, metadata.BoolOr(Key("add_space_prefix"), true));
  vocabulary->rules.mark_spaces = true;
  vocabulary->rules.prefix = prefix ? SpacePrefix::kEveryText : SpacePrefix::kNever;
  vocabulary->rules.byte_fallback = std::find(vocabulary->kinds.begin(), vocabulary->kinds.end(),
                                              TokenKind::kByte) != vocabulary->kinds.end();
  vocabulary->rules.fuse_unknown = true;
  return {};
}

// SentencePiece's normalisation: a table of characters, then rows of spaces.
Status ReadNormalizer(const Metadata& metadata, Vocabulary* vocabulary) {
  std::vector<NormalizeStep>& steps = vocabulary->rules.normalize;
  SLUICE_TRY_ASSIGN(const std::vector<int64_t>* table, metadata.Ints(Key("precompiled_charsmap")));
  if (table != nullptr && !table->empty()) {
    std::string bytes;
    bytes.reserve(table->size());
    for (const int64_t byte : *table) {
      if (byte < -128 || byte > 255) {
        return CorruptError(metadata.source() + ": " + Key("precompiled_charsmap") +
                            " holds numbers that are no bytes");
      }
      bytes.push_back(static_cast<char>(byte & 0xFF));
    }
    steps.push_back({.kind = NormalizeKind::kCharsmap, .from = std::move(bytes), .to = {}});
  }
  SLUICE_TRY_ASSIGN(const bool merge, metadata.BoolOr(Key("remove_extra_whitespaces"), false));
  if (merge) steps.push_back({.kind = NormalizeKind::kMergeSpaces, .from = {}, .to = {}});
  return {};
}

Status ReadUnigram(const Metadata& metadata, Vocabulary* vocabulary) {
  SLUICE_TRY(ReadSentencePiece(metadata, vocabulary));
  vocabulary->segmentation = Segmentation::kUnigram;
  // Files that do not say: llama.cpp puts a space before the merged kind only.
  if (!metadata.Has(Key("add_space_prefix"))) vocabulary->rules.prefix = SpacePrefix::kNever;
  double lowest = std::numeric_limits<double>::max();
  const size_t count = std::min(vocabulary->scores.size(), vocabulary->pieces.size());
  for (size_t id = 0; id < count; ++id) {
    const bool counts =
        id >= vocabulary->kinds.size() || vocabulary->kinds[id] == TokenKind::kNormal;
    if (counts) lowest = std::min(lowest, vocabulary->scores[id]);
  }
  vocabulary->unknown_score = lowest - kUnknownPenalty;
  return ReadNormalizer(metadata, vocabulary);
}

Status ReadSpecial(const Metadata& metadata, Vocabulary* vocabulary) {
  SpecialIds& special = vocabulary->special;
  const bool unigram = vocabulary->segmentation == Segmentation::kUnigram;
  if (unigram) {  // where a file is silent: as T5's
    special.eos = 1;
    special.unk = 2;
    special.pad = 0;
  }
  SLUICE_TRY(ReadId(metadata, "bos_token_id", &special.bos));
  SLUICE_TRY(ReadId(metadata, "eos_token_id", &special.eos));
  SLUICE_TRY(ReadId(metadata, "eot_token_id", &special.eot));
  SLUICE_TRY(ReadId(metadata, "unknown_token_id", &special.unk));
  SLUICE_TRY(ReadId(metadata, "padding_token_id", &special.pad));
  std::optional<TokenId> end_of_message;
  SLUICE_TRY(ReadId(metadata, "eom_token_id", &end_of_message));
  if (end_of_message) vocabulary->end_of_generation.push_back(*end_of_message);
  // Files that do not say: SentencePiece's merges start with bos, and so do byte-level families
  // that take whole words first (Llama 3, Tekken); unigram models end with eos.
  const bool starts =
      vocabulary->unit == PieceUnit::kCharacter ? !unigram : vocabulary->rules.ignore_merges;
  const bool usual = starts && special.bos.has_value();
  SLUICE_TRY_ASSIGN(vocabulary->add_bos, metadata.BoolOr(Key("add_bos_token"), usual));
  SLUICE_TRY_ASSIGN(vocabulary->add_eos, metadata.BoolOr(Key("add_eos_token"), unigram));
  return {};
}

// The tokens that end an answer as a Hugging Face directory names them: one id or several. Ids that
// the vocabulary lacks are no text to end: some configs keep those of the model that they were
// copied from.
Result<std::vector<TokenId>> EndsOfGeneration(const Metadata& config, size_t vocabulary) {
  constexpr char kKey[] = "eos_token_id";
  const auto found = config.values().find(kKey);
  if (found == config.values().end()) return std::vector<TokenId>{};
  std::vector<int64_t> ids;
  if (const auto* several = std::get_if<std::vector<int64_t>>(&found->second)) {
    ids = *several;
  } else {
    SLUICE_TRY_ASSIGN(const int64_t id, config.Int(kKey, 0, static_cast<int64_t>(kMaxPieces) - 1));
    ids = {id};
  }
  std::vector<TokenId> ends;
  for (const int64_t id : ids) {
    if (id < 0) return CorruptError(fmt::format("{}: '{}' holds {}", config.source(), kKey, id));
    if (id < static_cast<int64_t>(vocabulary)) ends.push_back(static_cast<TokenId>(id));
  }
  return ends;
}

}  // namespace

Result<Vocabulary> VocabularyFromGguf(const Metadata& metadata) {
  Vocabulary vocabulary;
  SLUICE_TRY_ASSIGN(const std::string model, metadata.String(Key("model")));
  SLUICE_TRY(ReadPieces(metadata, &vocabulary));
  Status read;
  if (model == "gpt2") {
    read = ReadByteLevel(metadata, &vocabulary);
  } else if (model == "llama") {
    read = ReadSentencePiece(metadata, &vocabulary);
  } else if (model == "t5") {
    read = ReadUnigram(metadata, &vocabulary);
  } else {
    read = UnsupportedError(
        fmt::format("tokenizer model \"{}\" is not known; known are gpt2, llama and t5", model));
  }
  SLUICE_TRY(read.Annotate(metadata.source()));
  SLUICE_TRY(ReadSpecial(metadata, &vocabulary));
  return vocabulary;
}

Result<Vocabulary> VocabularyOf(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) return VocabularyFromGguf(checkpoint.metadata);
  if (checkpoint.tokenizer_json.empty()) {
    return NotFoundError(checkpoint.path + ": no tokenizer.json");
  }
  Result<Vocabulary> vocabulary =
      ParseTokenizerJson(checkpoint.tokenizer_json, checkpoint.tokenizer_config_json);
  if (!vocabulary.ok()) return vocabulary.status().Annotate(checkpoint.path);
  const size_t size = vocabulary->pieces.size();
  SLUICE_TRY_ASSIGN(vocabulary->end_of_generation, EndsOfGeneration(checkpoint.metadata, size));
  if (!checkpoint.generation_config_json.empty()) {
    SLUICE_TRY_ASSIGN(const Metadata generation,
                      MetadataFromJson(checkpoint.generation_config_json,
                                       checkpoint.path + "/generation_config.json"));
    SLUICE_TRY_ASSIGN(const std::vector<TokenId> ends, EndsOfGeneration(generation, size));
    if (!ends.empty()) vocabulary->end_of_generation = ends;
  }
  return vocabulary;
}

}  // namespace sluice
