// How a checked vocabulary becomes tables; what happens to text is in encode.cc.
#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice {
namespace {

// Names of tokens that end an answer in the families known; files often name only one of them.
constexpr std::array<std::string_view, 10> kEndNames{
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>",    "<|end_of_text|>", "<|eom_id|>",
    "<|return|>", "<|call|>",      "<end_of_turn>", "<EOT>",           "<｜end▁of▁sentence｜>"};

// The byte that "<0x1F>" names.
std::optional<uint8_t> ByteNamed(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return static_cast<uint8_t>(value);
}

// A byte-level piece as bytes; as it is where it leaves the alphabet (an added token's spelling).
std::string BytesOfPiece(std::string_view piece) {
  std::string bytes;
  for (size_t i = 0; i < piece.size();) {
    const Utf8Char c = DecodeUtf8(piece, i);
    const std::optional<uint8_t> byte = c.valid ? AlphabetToByte(c.code) : std::nullopt;
    if (!byte) return std::string(piece);
    bytes.push_back(static_cast<char>(*byte));
    i += c.bytes;
  }
  return bytes;
}

std::string WithPlainSpaces(std::string_view piece) {
  std::string text;
  for (size_t i = 0; i < piece.size();) {
    if (piece.substr(i).starts_with("\u2581")) {
      text.push_back(' ');
      i += 3;
    } else {
      text.push_back(piece[i++]);
    }
  }
  return text;
}

Status CheckPieces(const Vocabulary& vocabulary) {
  const size_t count = vocabulary.pieces.size();
  if (count == 0 || count > kMaxPieces) {
    return CorruptError(fmt::format("vocabulary of {} tokens; 1 to {} can be", count, kMaxPieces));
  }
  for (size_t id = 0; id < count; ++id) {
    if (vocabulary.pieces[id].size() > kMaxPieceBytes) {
      return CorruptError(fmt::format("token {} has {} bytes; at most {} can be", id,
                                      vocabulary.pieces[id].size(), kMaxPieceBytes));
    }
  }
  if (!vocabulary.kinds.empty() && vocabulary.kinds.size() != count) {
    return CorruptError(
        fmt::format("{} token types for {} tokens", vocabulary.kinds.size(), count));
  }
  for (size_t id = 0; id < vocabulary.kinds.size(); ++id) {
    const auto kind = static_cast<int>(vocabulary.kinds[id]);
    if (kind < static_cast<int>(TokenKind::kNormal) || kind > static_cast<int>(TokenKind::kByte)) {
      return CorruptError(fmt::format("token {} has type {}; types are 1 to 6", id, kind));
    }
    if (vocabulary.kinds[id] == TokenKind::kByte && !ByteNamed(vocabulary.pieces[id])) {
      return CorruptError(fmt::format("token {} is of type byte but named {}, not like \"<0x0A>\"",
                                      id, QuoteForMessage(vocabulary.pieces[id])));
    }
  }
  return {};
}

Status CheckScores(const Vocabulary& vocabulary) {
  const bool unigram = vocabulary.segmentation == Segmentation::kUnigram;
  const bool by_score =
      unigram || (vocabulary.unit == PieceUnit::kCharacter && vocabulary.merges.empty());
  if (by_score && vocabulary.scores.size() != vocabulary.pieces.size()) {
    return CorruptError(
        fmt::format("{} scores for {} tokens", vocabulary.scores.size(), vocabulary.pieces.size()));
  }
  for (size_t id = 0; by_score && id < vocabulary.scores.size(); ++id) {
    if (!(std::abs(vocabulary.scores[id]) <= kMaxScore)) {
      return CorruptError(fmt::format("token {} has a score that is no number or too large", id));
    }
  }
  if (!unigram) return {};
  if (vocabulary.unit != PieceUnit::kCharacter) {
    return UnsupportedError("a unigram vocabulary over bytes; those over characters are supported");
  }
  if (!(std::abs(vocabulary.unknown_score) <= 2 * kMaxScore)) {
    return CorruptError("the score of unknown characters is no number or too large");
  }
  size_t bytes = 0;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.pieces[id].size() > kMaxUnigramBytes) {
      return UnsupportedError(fmt::format("token {} has {} bytes; at most {} can be with unigram",
                                          id, vocabulary.pieces[id].size(), kMaxUnigramBytes));
    }
    bytes += vocabulary.pieces[id].size();
  }
  if (bytes > kMaxUnigramBytesInAll) {
    return UnsupportedError(
        fmt::format("the tokens have {} bytes in all; at most {} can be with unigram", bytes,
                    kMaxUnigramBytesInAll));
  }
  return {};
}

Status CheckIds(const Vocabulary& vocabulary) {
  const SpecialIds& special = vocabulary.special;
  std::vector<std::pair<const char*, std::optional<TokenId>>> ids{
      {"beginning-of-text", special.bos},
      {"end-of-text", special.eos},
      {"end-of-turn", special.eot},
      {"unknown", special.unk},
      {"padding", special.pad}};
  for (const TokenId id : vocabulary.end_of_generation) ids.emplace_back("end-of-generation", id);
  for (const AddedToken& added : vocabulary.added) ids.emplace_back("added", added.id);
  const size_t count = vocabulary.pieces.size();
  for (const auto& [name, id] : ids) {
    if (id && (*id < 0 || static_cast<size_t>(*id) >= count)) {
      return CorruptError(fmt::format("{} token is {}; ids are 0 to {}", name, *id, count - 1));
    }
  }
  if (vocabulary.add_bos && !special.bos) {
    return CorruptError("prompts are to start with a beginning-of-text token, but none is named");
  }
  if (vocabulary.add_eos && !special.eos) {
    return CorruptError("prompts are to end with an end-of-text token, but none is named");
  }
  return {};
}

}  // namespace

Result<Merge> ParseMerge(std::string_view text) {
  const size_t space = text.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == text.size()) {
    return CorruptError(fmt::format("merge {} is not two pieces", QuoteForMessage(text)));
  }
  return Merge{.left = std::string(text.substr(0, space)),
               .right = std::string(text.substr(space + 1))};
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(Vocabulary vocabulary) {
  SLUICE_TRY(CheckPieces(vocabulary));
  SLUICE_TRY(CheckScores(vocabulary));
  SLUICE_TRY(CheckIds(vocabulary));
  if (vocabulary.merges.size() > kMaxMerges) {
    return CorruptError(
        fmt::format("{} merges; at most {} can be", vocabulary.merges.size(), kMaxMerges));
  }
  SLUICE_TRY_ASSIGN(Normalizer normalizer, Normalizer::Create(vocabulary.rules.normalize));
  vocabulary.rules.normalize.clear();
  SLUICE_TRY_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::Create(vocabulary.steps));
  const std::vector<Merge> merges = std::move(vocabulary.merges);
  const std::vector<AddedToken> added = std::move(vocabulary.added);
  std::vector<TokenId> ends = std::move(vocabulary.end_of_generation);
  std::unique_ptr<Tokenizer> tokenizer(
      new Tokenizer(std::move(vocabulary), std::move(normalizer), std::move(pre_tokenizer)));
  SLUICE_TRY(tokenizer->IndexPieces());
  tokenizer->IndexSingleBytes();
  SLUICE_TRY(tokenizer->IndexMerges(merges));
  tokenizer->IndexSpecial(added);
  tokenizer->CollectEndOfGeneration(std::move(ends));
  return tokenizer;
}

Tokenizer::Tokenizer(Vocabulary vocabulary, Normalizer normalizer, PreTokenizer pre_tokenizer)
    : unit_(vocabulary.unit),
      segmentation_(vocabulary.segmentation),
      rules_(std::move(vocabulary.rules)),
      pieces_(std::move(vocabulary.pieces)),
      kinds_(std::move(vocabulary.kinds)),
      scores_(std::move(vocabulary.scores)),
      unknown_score_(vocabulary.unknown_score),
      special_(vocabulary.special),
      add_bos_(vocabulary.add_bos),
      add_eos_(vocabulary.add_eos),
      normalizer_(std::move(normalizer)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      byte_ids_(256, kNoToken) {
  if (kinds_.empty()) kinds_.assign(pieces_.size(), TokenKind::kNormal);
}

bool Tokenizer::IsText(TokenId id) const {
  return KindOf(id) == TokenKind::kNormal || KindOf(id) == TokenKind::kUserDefined;
}

std::string Tokenizer::TokenText(TokenId id) const {
  const std::string& piece = pieces_[static_cast<size_t>(id)];
  const TokenKind kind = KindOf(id);
  if (kind == TokenKind::kByte) {
    return std::string(1, static_cast<char>(ByteNamed(piece).value_or(0)));
  }
  if (unit_ == PieceUnit::kCharacter) return rules_.mark_spaces ? WithPlainSpaces(piece) : piece;
  return kind == TokenKind::kNormal ? BytesOfPiece(piece) : piece;
}

Status Tokenizer::IndexPieces() {
  ids_.reserve(pieces_.size());
  texts_.reserve(pieces_.size());
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!pieces_[i].empty()) {  // a hole in the list of ids
      const auto [other, added] = ids_.emplace(pieces_[i], id);
      if (!added) {
        return CorruptError(fmt::format("tokens {} and {} are both {}", other->second, id,
                                        QuoteForMessage(pieces_[i])));
      }
    }
    texts_.push_back(TokenText(id));
  }
  text_ids_.reserve(pieces_.size());
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (KindOf(id) != TokenKind::kNormal || pieces_[i].empty()) continue;
    text_ids_.emplace(unit_ == PieceUnit::kByte ? texts_[i] : pieces_[i], id);
  }
  return {};
}

// How one byte is spelt: by the piece that is that byte, or by a byte token.
void Tokenizer::IndexSingleBytes() {
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const bool single =
        unit_ == PieceUnit::kByte && KindOf(id) == TokenKind::kNormal && texts_[i].size() == 1;
    if (!single && KindOf(id) != TokenKind::kByte) continue;
    TokenId& slot = byte_ids_[static_cast<uint8_t>(texts_[i].front())];
    if (slot == kNoToken || single) slot = id;
  }
  lacks_bytes_ = unit_ == PieceUnit::kByte &&
                 std::find(byte_ids_.begin(), byte_ids_.end(), kNoToken) != byte_ids_.end();
}

Status Tokenizer::IndexMerges(const std::vector<Merge>& merges) {
  if (segmentation_ == Segmentation::kUnigram) {
    unigram_ = std::make_unique<UnigramPieces>(text_ids_, std::move(scores_), unknown_score_);
    merge_rules_ = std::make_unique<RankedMerges>(0);
    return {};
  }
  if (unit_ == PieceUnit::kCharacter && merges.empty()) {
    merge_rules_ = std::make_unique<ScoredPieces>(text_ids_, scores_);
    return {};
  }
  auto ranked = std::make_unique<RankedMerges>(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::optional<TokenId> left = Find(merges[i].left);
    const std::optional<TokenId> right = Find(merges[i].right);
    const std::optional<TokenId> merged = Find(merges[i].left + merges[i].right);
    if (!left || !right || !merged) {
      return CorruptError(
          fmt::format("merge {} of {} and {}: {} is not in the vocabulary", i,
                      QuoteForMessage(merges[i].left), QuoteForMessage(merges[i].right),
                      !left ? "the first" : (!right ? "the second" : "what they make")));
    }
    // Text must never become a control token by merging.
    if (IsText(*merged)) ranked->Add(*left, *right, *merged);
  }
  merge_rules_ = std::move(ranked);
  return {};
}

void Tokenizer::IndexSpecial(const std::vector<AddedToken>& added) {
  std::unordered_map<TokenId, AddedToken> rules;
  for (const AddedToken& token : added) rules.emplace(token.id, token);
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (KindOf(id) != TokenKind::kUserDefined && !IsControl(id)) continue;
    const auto own = rules.find(id);
    if (own == rules.end()) {
      special_tokens_.Add(texts_[i], {.id = id}, IsControl(id));
    } else if (own->second.normalized) {
      normalized_tokens_.Add(Normalize(pieces_[i]), own->second, IsControl(id));
    } else {
      special_tokens_.Add(pieces_[i], own->second, IsControl(id));
    }
  }
}

void Tokenizer::CollectEndOfGeneration(std::vector<TokenId> more) {
  end_of_generation_ = std::move(more);
  if (special_.eos) end_of_generation_.push_back(*special_.eos);
  if (special_.eot) end_of_generation_.push_back(*special_.eot);
  for (const std::string_view name : kEndNames) {
    const std::optional<TokenId> id = Find(name);
    if (id && IsControl(*id)) end_of_generation_.push_back(*id);
  }
  std::sort(end_of_generation_.begin(), end_of_generation_.end());
  end_of_generation_.erase(std::unique(end_of_generation_.begin(), end_of_generation_.end()),
                           end_of_generation_.end());
}

std::optional<TokenId> Tokenizer::Find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::IsControl(TokenId id) const {
  return InRange(id) && (KindOf(id) == TokenKind::kControl || KindOf(id) == TokenKind::kUnknown);
}

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

std::string_view Tokenizer::TokenBytes(TokenId id) const {
  return InRange(id) ? std::string_view(texts_[static_cast<size_t>(id)]) : std::string_view();
}

}  // namespace sluice
