// The way of text through the tokenizer: special tokens, normalisation, words, merging; and back.
#include <algorithm>
#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

// A word longer than this is cut, which bounds the memory that its merging takes.
constexpr size_t kMaxWordBytes = size_t{1} << 26;

// The end of the first part of `word`: all of it, or less at the start of a character.
size_t PartEnd(std::string_view word) {
  if (word.size() <= kMaxWordBytes) return word.size();
  size_t end = kMaxWordBytes;
  for (int i = 0; i < 3 && (static_cast<uint8_t>(word[end]) & 0xC0) == 0x80; ++i) --end;
  return end;
}

}  // namespace

std::vector<TokenId> Tokenizer::EncodeExcept(std::string_view text, SpecialTokens special,
                                             std::span<const TextSpan> plain) const {
  const bool find_control = special == SpecialTokens::kParse;
  std::vector<TokenId> ids;
  Merger merger(*merge_rules_);
  for (const TextSegment& segment : special_tokens_.Cut(text, find_control, plain)) {
    if (segment.id != kNoToken) {
      ids.push_back(segment.id);
      continue;
    }
    const TextSpan& span = segment.span;
    while (!plain.empty() && plain.front().end <= span.begin) plain = plain.subspan(1);
    const std::string_view part = text.substr(span.begin, span.end - span.begin);
    const std::string normalized = Normalize(part);
    EncodeNormalized(normalized, find_control, PlainIn(part, span.begin, plain, normalized),
                     span.begin == 0, &merger, &ids);
  }
  return ids;
}

// Where in `normalized` the stretches `plain` of `part` are, which begins at `offset` of the whole
// text; all of it where normalisation joins what a person wrote with what they did not.
std::vector<TextSpan> Tokenizer::PlainIn(std::string_view part, size_t offset,
                                         std::span<const TextSpan> plain,
                                         std::string_view normalized) const {
  std::vector<TextSpan> spans;
  std::string joined;
  const auto append = [&](size_t begin, size_t end) {
    std::string piece = Normalize(part.substr(begin, end - begin));
    const bool marked = rules_.mark_spaces && rules_.prefix == SpacePrefix::kEveryText;
    if (marked && begin > 0 && !piece.empty()) piece.erase(0, kSpaceMark.size());
    joined += piece;
  };
  size_t done = 0;
  for (const TextSpan& span : plain) {
    if (span.begin >= offset + part.size()) break;
    const size_t begin = std::max(span.begin, offset) - offset;
    const size_t end = std::min(span.end - offset, part.size());
    append(done, begin);
    const size_t from = joined.size();
    append(begin, end);
    spans.push_back({.begin = from, .end = joined.size()});
    done = end;
  }
  if (spans.empty()) return spans;
  append(done, part.size());
  if (joined != normalized) return {{.begin = 0, .end = normalized.size()}};
  return spans;
}

// U+FFFD for the bytes that are not UTF-8 and that no token spells; DeepSeek's vocabulary lacks the
// thirteen bytes that UTF-8 never uses.
std::string Tokenizer::ReplaceUnspeltBytes(std::string_view text) const {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text, i);
    if (!c.valid && byte_ids_[static_cast<uint8_t>(text[i])] == kNoToken) {
      AppendUtf8(c.code, &out);
    } else {
      out += text.substr(i, c.bytes);
    }
    i += c.bytes;
  }
  return out;
}

std::string Tokenizer::Normalize(std::string_view text) const {
  std::string normalized = normalizer_.Apply(text);
  if (lacks_bytes_) normalized = ReplaceUnspeltBytes(normalized);
  if (!rules_.mark_spaces) return normalized;
  std::string marked;
  marked.reserve(normalized.size() + kSpaceMark.size());
  if (rules_.prefix == SpacePrefix::kEveryText && !normalized.empty()) marked += kSpaceMark;
  for (const char c : normalized) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked.push_back(c);
    }
  }
  return marked;
}

void Tokenizer::EncodeNormalized(std::string_view text, bool find_control,
                                 std::span<const TextSpan> plain, bool at_start, Merger* merger,
                                 std::vector<TokenId>* ids) const {
  for (const TextSegment& segment : normalized_tokens_.Cut(text, find_control, plain)) {
    if (segment.id != kNoToken) {
      ids->push_back(segment.id);
      continue;
    }
    const TextSpan& span = segment.span;
    std::string_view words = text.substr(span.begin, span.end - span.begin);
    const bool wants_prefix =
        rules_.prefix == SpacePrefix::kEveryUnlessSpace ||
        (rules_.prefix == SpacePrefix::kFirstUnlessSpace && at_start && span.begin == 0);
    const std::string_view space = rules_.mark_spaces ? kSpaceMark : " ";
    std::string prefixed;
    if (wants_prefix && !words.starts_with(space)) {
      prefixed = std::string(space) + std::string(words);
      words = prefixed;
    }
    for (const TextSpan& word : pre_tokenizer_.Split(words)) {
      EncodeWord(words.substr(word.begin, word.end - word.begin), merger, ids);
    }
  }
}

void Tokenizer::EncodeWord(std::string_view word, Merger* merger, std::vector<TokenId>* ids) const {
  if (rules_.ignore_merges) {
    if (const auto whole = text_ids_.find(word); whole != text_ids_.end()) {
      ids->push_back(whole->second);
      return;
    }
  }
  std::vector<Symbol> symbols;
  while (!word.empty()) {
    const std::string_view part = word.substr(0, PartEnd(word));
    word.remove_prefix(part.size());
    symbols.clear();
    if (unigram_ != nullptr) {
      unigram_->Cut(part, &symbols);
    } else {
      AppendSymbols(part, &symbols);
      merger->Merge(part, &symbols);
    }
    bool after_unknown = false;
    for (const Symbol& symbol : symbols) {
      if (symbol.id != kNoToken) {
        ids->push_back(symbol.id);
        after_unknown = false;
      } else {
        after_unknown = AppendUnspelt(part.substr(symbol.begin, symbol.bytes), after_unknown, ids);
      }
    }
  }
}

void Tokenizer::AppendSymbols(std::string_view word, std::vector<Symbol>* symbols) const {
  symbols->reserve(word.size());
  for (uint32_t i = 0; i < word.size();) {
    Symbol symbol{.begin = i, .bytes = 1};
    if (unit_ == PieceUnit::kByte) {
      symbol.id = byte_ids_[static_cast<uint8_t>(word[i])];
    } else {
      symbol.bytes = DecodeUtf8(word, i).bytes;
      const auto found = text_ids_.find(word.substr(i, symbol.bytes));
      if (found != text_ids_.end()) symbol.id = found->second;
    }
    symbols->push_back(symbol);
    i += symbol.bytes;
  }
}

// A character that no piece spells: its bytes, or else the unknown token, once for a row of them
// where they fuse. Returns whether it was unknown.
bool Tokenizer::AppendUnspelt(std::string_view bytes, bool after_unknown,
                              std::vector<TokenId>* ids) const {
  const auto id_of = [this](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
  const bool spelt = rules_.byte_fallback && std::none_of(bytes.begin(), bytes.end(), [&](char c) {
                       return id_of(c) == kNoToken;
                     });
  if (spelt) {
    for (const char c : bytes) ids->push_back(id_of(c));
    return false;
  }
  const bool fused = after_unknown && rules_.fuse_unknown;
  if (special_.unk && !fused) ids->push_back(*special_.unk);
  return true;
}

std::string Tokenizer::Decode(std::span<const TokenId> ids, ControlTokens control) const {
  std::string text;
  // Where a prefix rule would have put a space: at the start, and after a control token if that
  // shows, so that its text encodes to the same ids again.
  bool after_prefix = has_space_prefix();
  for (const TokenId id : ids) {
    if (!InRange(id)) continue;
    if (IsControl(id)) {
      if (control == ControlTokens::kHide) continue;
      text += TokenBytes(id);
      after_prefix = rules_.prefix == SpacePrefix::kEveryText;
      continue;
    }
    std::string_view bytes = TokenBytes(id);
    if (after_prefix && StartsWithMark(id)) bytes.remove_prefix(1);
    after_prefix = false;
    text += bytes;
  }
  return text;
}

bool Tokenizer::StartsWithMark(TokenId id) const {
  return InRange(id) && KindOf(id) == TokenKind::kNormal &&
         pieces_[static_cast<size_t>(id)].starts_with(kSpaceMark);
}

}  // namespace sluice
