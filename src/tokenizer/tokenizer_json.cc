// Reads tokenizer.json as written by Hugging Face's `tokenizers` 0.13 to 0.23.
#include "tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/text_rules_json.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxJsonBytes = size_t{64} << 20;  // the largest known is half of it
constexpr int kMaxJsonDepth = 64;
// Ids that a list may leave out; bounds what a file with one huge id makes us allocate.
constexpr size_t kMaxHoles = size_t{1} << 16;

// How deep brackets nest, at the most. The text need not be JSON.
int DepthOf(std::string_view json) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

Result<Json> ParseObject(std::string_view text, const char* name) {
  if (text.size() > kMaxJsonBytes) {
    return UnsupportedError(
        fmt::format("{} has {} bytes; at most {} are read", name, text.size(), kMaxJsonBytes));
  }
  if (DepthOf(text) > kMaxJsonDepth) {
    return CorruptError(fmt::format("{} nests deeper than {}", name, kMaxJsonDepth));
  }
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return CorruptError(fmt::format("{} is not a JSON object", name));
  return json;
}

std::optional<int64_t> IntegerOf(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<int64_t>();
}

// A token that is named by its text, or by an object with "content".
std::string TokenName(const Json& config, const char* name) {
  const std::string text = StringField(config, name);
  return text.empty() ? StringField(Field(config, name), "content") : text;
}

// Builds one Vocabulary from the sections of the two files.
class Builder {
 public:
  Status Read(const Json& root, const Json& config) {
    SLUICE_TRY(ReadNormalizer(Field(root, "normalizer"), &vocabulary_));
    SLUICE_TRY(ReadPreTokenizer(Field(root, "pre_tokenizer"), &vocabulary_));
    const Json& model = Field(root, "model");
    SLUICE_TRY(CheckModel(model));
    if (vocabulary_.segmentation == Segmentation::kUnigram) {
      SLUICE_TRY(ReadScoredPieces(Field(model, "vocab"), Field(root, "added_tokens")));
      SLUICE_TRY(ReadUnknown(Field(model, "unk_id")));
    } else {
      SLUICE_TRY(ReadPieces(Field(model, "vocab"), Field(root, "added_tokens")));
      SLUICE_TRY(ReadMerges(Field(model, "merges")));
    }
    SLUICE_TRY(CheckAdded(Field(root, "pre_tokenizer")));
    ReadModelRules(model);
    ReadTemplate(Field(root, "post_processor"));
    ReadConfig(config);
    return {};
  }

  Vocabulary Take() { return std::move(vocabulary_); }

 private:
  Status CheckModel(const Json& model) {
    const std::string type = StringField(model, "type");
    if (type == "Unigram") {
      vocabulary_.segmentation = Segmentation::kUnigram;
      if (vocabulary_.unit == PieceUnit::kCharacter) return {};
      return UnsupportedError("tokenizer.json: a Unigram model with a ByteLevel pre-tokenizer");
    }
    // Files from before the field are told by their merges.
    if (type != "BPE" && !(type.empty() && Field(model, "merges").is_array())) {
      return UnsupportedError("tokenizer.json: model " + QuoteForMessage(type) +
                              " is not supported; BPE and Unigram are");
    }
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!StringField(model, affix).empty()) {
        return UnsupportedError(fmt::format("tokenizer.json: {} is not supported", affix));
      }
    }
    return {};
  }

  Status PutPiece(const std::string& piece, const Json& id_value, size_t limit) {
    const std::optional<int64_t> id = IntegerOf(id_value);
    if (!id || *id < 0 || static_cast<uint64_t>(*id) >= limit) {
      return CorruptError(fmt::format("tokenizer.json: token {} has no id from 0 to {}",
                                      QuoteForMessage(piece), limit - 1));
    }
    const auto index = static_cast<size_t>(*id);
    if (index >= vocabulary_.pieces.size()) {
      vocabulary_.pieces.resize(index + 1);
      vocabulary_.kinds.resize(index + 1, TokenKind::kUnused);
    }
    std::string& slot = vocabulary_.pieces[index];
    if (!slot.empty() && slot != piece) {
      return CorruptError(fmt::format("tokenizer.json: {} and {} both have id {}",
                                      QuoteForMessage(slot), QuoteForMessage(piece), index));
    }
    slot = piece;
    vocabulary_.kinds[index] = TokenKind::kNormal;
    return {};
  }

  Status ReadPieces(const Json& vocab, const Json& added) {
    if (!vocab.is_object()) return CorruptError("tokenizer.json: no model.vocab");
    const size_t limit = std::min(kMaxPieces, vocab.size() + added.size() + kMaxHoles);
    for (const auto& [piece, id] : vocab.items()) SLUICE_TRY(PutPiece(piece, id, limit));
    for (const Json& token : added) SLUICE_TRY(ReadAdded(token, limit));
    return {};
  }

  // A unigram model lists [piece, score] by id.
  Status ReadScoredPieces(const Json& vocab, const Json& added) {
    if (!vocab.is_array()) return CorruptError("tokenizer.json: no model.vocab");
    const size_t limit = std::min(kMaxPieces, vocab.size() + added.size() + kMaxHoles);
    double lowest = vocab.empty() ? 0 : std::numeric_limits<double>::infinity();
    for (size_t id = 0; id < vocab.size(); ++id) {
      const Json& entry = vocab[id];
      const bool is_pair =
          entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
      if (!is_pair) {
        return CorruptError(fmt::format("tokenizer.json: piece {} is no text with a score", id));
      }
      SLUICE_TRY(PutPiece(entry[0].get<std::string>(), Json(id), limit));
      vocabulary_.scores.push_back(entry[1].get<double>());
      lowest = std::min(lowest, vocabulary_.scores.back());
    }
    vocabulary_.unknown_score = lowest - kUnknownPenalty;
    for (const Json& token : added) SLUICE_TRY(ReadAdded(token, limit));
    vocabulary_.scores.resize(vocabulary_.pieces.size(), 0.0);
    return {};
  }

  Status ReadUnknown(const Json& unk_id) {
    if (unk_id.is_null()) return {};
    const std::optional<int64_t> id = IntegerOf(unk_id);
    if (!id || *id < 0 || static_cast<uint64_t>(*id) >= vocabulary_.pieces.size()) {
      return CorruptError(
          fmt::format("tokenizer.json: unk_id is not one of {} pieces", vocabulary_.pieces.size()));
    }
    vocabulary_.special.unk = static_cast<TokenId>(*id);
    TokenKind& kind = vocabulary_.kinds[static_cast<size_t>(*id)];
    if (kind == TokenKind::kNormal) kind = TokenKind::kUnknown;
    return {};
  }

  Status ReadAdded(const Json& token, size_t limit) {
    const std::string content = StringField(token, "content");
    if (content.empty()) return CorruptError("tokenizer.json: an added token without content");
    SLUICE_TRY(PutPiece(content, Field(token, "id"), limit));
    const auto id = static_cast<TokenId>(IntegerOf(Field(token, "id")).value_or(0));
    const bool special = BoolField(token, "special", false);
    vocabulary_.kinds[static_cast<size_t>(id)] =
        special ? TokenKind::kControl : TokenKind::kUserDefined;
    vocabulary_.added.push_back({.id = id,
                                 .single_word = BoolField(token, "single_word", false),
                                 .lstrip = BoolField(token, "lstrip", false),
                                 .rstrip = BoolField(token, "rstrip", false),
                                 .normalized = BoolField(token, "normalized", !special)});
    return {};
  }

  Status ReadMerges(const Json& merges) {
    if (!merges.is_array()) return CorruptError("tokenizer.json: no model.merges");
    vocabulary_.merges.reserve(std::min(merges.size(), kMaxMerges));
    for (const Json& merge : merges) {
      if (const auto* text = merge.get_ptr<const Json::string_t*>(); text != nullptr) {
        SLUICE_TRY_ASSIGN(Merge pair, ParseMerge(*text));
        vocabulary_.merges.push_back(std::move(pair));
        continue;
      }
      const bool is_pair =
          merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
      if (!is_pair) {
        return CorruptError(fmt::format("tokenizer.json: merge {} is neither text nor two texts",
                                        vocabulary_.merges.size()));
      }
      vocabulary_.merges.push_back(
          {.left = merge[0].get<std::string>(), .right = merge[1].get<std::string>()});
    }
    return {};
  }

  void ReadModelRules(const Json& model) {
    TextRules& rules = vocabulary_.rules;
    rules.byte_fallback = BoolField(model, "byte_fallback", false);
    if (vocabulary_.segmentation == Segmentation::kUnigram) {
      rules.fuse_unknown = true;
    } else {
      rules.fuse_unknown = BoolField(model, "fuse_unk", false);
      rules.ignore_merges = BoolField(model, "ignore_merges", false);
      vocabulary_.special.unk = IdOf(StringField(model, "unk_token"));
    }
    for (int byte = 0; rules.byte_fallback && byte < 256; ++byte) {
      if (const auto id = IdOf(fmt::format("<0x{:02X}>", byte)); id) {
        vocabulary_.kinds[static_cast<size_t>(*id)] = TokenKind::kByte;
      }
    }
  }

  // Words that lose their whitespace before Metaspace marks them are read as normalisation
  // (text_rules_json.cc), which would come before such tokens are found instead of after.
  Status CheckAdded(const Json& pre_tokenizer) const {
    const Json& stages = Field(pre_tokenizer, "pretokenizers");
    const bool merges_whitespace = vocabulary_.rules.mark_spaces && stages.is_array() &&
                                   !stages.empty() &&
                                   StringField(stages.front(), "type") == "WhitespaceSplit";
    for (const AddedToken& token : vocabulary_.added) {
      if (!merges_whitespace || !token.normalized) continue;
      return UnsupportedError(
          fmt::format("tokenizer.json: added token {} is \"normalized\" in a tokenizer that splits "
                      "at whitespace before Metaspace",
                      QuoteForMessage(vocabulary_.pieces[static_cast<size_t>(token.id)])));
    }
    return {};
  }

  // What a post-processor puts before and after a single text.
  void ReadTemplate(const Json& post_processor) {
    if (StringField(post_processor, "type") == "Sequence") {
      for (const Json& stage : Field(post_processor, "processors")) {
        if (StringField(stage, "type") == "TemplateProcessing") ReadTemplate(stage);
      }
      return;
    }
    const Json& single = Field(post_processor, "single");
    if (!single.is_array() || single.empty()) return;
    const auto special = [&](const Json& item) {
      return IdOf(StringField(Field(item, "SpecialToken"), "id"));
    };
    if (const auto bos = special(single.front()); bos) {
      vocabulary_.special.bos = bos;
      vocabulary_.add_bos = true;
    }
    if (const auto eos = special(single.back()); eos && single.size() > 1) {
      vocabulary_.special.eos = eos;
      vocabulary_.add_eos = true;
    }
  }

  void ReadConfig(const Json& config) {
    SpecialIds& special = vocabulary_.special;
    const auto read = [&](const char* name, std::optional<TokenId>* id) {
      if (const auto named = IdOf(TokenName(config, name)); named) *id = named;
    };
    read("bos_token", &special.bos);
    read("eos_token", &special.eos);
    read("pad_token", &special.pad);
    vocabulary_.add_bos =
        special.bos.has_value() && BoolField(config, "add_bos_token", vocabulary_.add_bos);
    vocabulary_.add_eos =
        special.eos.has_value() && BoolField(config, "add_eos_token", vocabulary_.add_eos);
  }

  std::optional<TokenId> IdOf(const std::string& piece) {
    if (piece.empty()) return std::nullopt;
    if (ids_.empty()) {
      for (size_t i = 0; i < vocabulary_.pieces.size(); ++i) {
        ids_.emplace(vocabulary_.pieces[i], static_cast<TokenId>(i));
      }
    }
    const auto found = ids_.find(piece);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  Vocabulary vocabulary_;
  std::unordered_map<std::string_view, TokenId> ids_;  // of the pieces, once they are all read
};

}  // namespace

Result<Vocabulary> ParseTokenizerJson(std::string_view tokenizer_json,
                                      std::string_view tokenizer_config_json) {
  SLUICE_TRY_ASSIGN(const Json root, ParseObject(tokenizer_json, "tokenizer.json"));
  Json config;
  if (!tokenizer_config_json.empty()) {
    SLUICE_TRY_ASSIGN(config, ParseObject(tokenizer_config_json, "tokenizer_config.json"));
  }
  Builder builder;
  SLUICE_TRY(builder.Read(root, config));
  return builder.Take();
}

}  // namespace sluice
