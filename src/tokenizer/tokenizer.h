// Tokenizer: text to token ids and back, for byte pair encodings over bytes and over characters and
// for unigram language models.
//
// Decode(Encode(text)) is `text` for any bytes, with these exceptions: a space that a prefix rule
// put in front of text after a special token stays (the one at the start goes), U+2581 comes back
// as a space where spaces are spelt so, normalisation changes what it normalises, and characters
// are lost that a vocabulary without byte tokens cannot spell.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/status.h"
#include "tokenizer/merge.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// Whether text that spells a control token ("<|im_end|>") becomes that token.
enum class SpecialTokens {
  kPlain,  // it stays text: what a user wrote
  kParse,  // it does: a prompt that a template wrote
};

// Whether a control token shows as its name or not at all.
enum class ControlTokens { kHide, kShow };

// Thread-safety: const methods may run concurrently.
class Tokenizer final {
 public:
  // Checks the vocabulary: sizes, ids, scores, duplicates, merges that name pieces it has.
  static Result<std::unique_ptr<Tokenizer>> Create(Vocabulary vocabulary);

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  Tokenizer(Tokenizer&&) = delete;
  Tokenizer& operator=(Tokenizer&&) = delete;
  ~Tokenizer() = default;

  // The ids of `text`, which may be any bytes. Adds no bos or eos. Cost: O(n log n) within words;
  // unigram models take O(n) times their longest piece.
  std::vector<TokenId> Encode(std::string_view text, SpecialTokens special) const {
    return EncodeExcept(text, special, {});
  }
  // The same, but what spells a control or added token and touches one of `plain` (stretches of
  // `text`, in order) stays text: a prompt that a template wrote around what persons wrote.
  std::vector<TokenId> EncodeExcept(std::string_view text, SpecialTokens special,
                                    std::span<const TextSpan> plain) const;

  // The bytes of a whole text, which may stop within a character. The space that a prefix rule puts
  // at the start of text is taken off. Ids out of range show as nothing.
  std::string Decode(std::span<const TokenId> ids,
                     ControlTokens control = ControlTokens::kHide) const;

  // The bytes that one token shows, wherever in a text it is: control tokens by name, "" for ids
  // out of range. Lives as long as the tokenizer.
  std::string_view TokenBytes(TokenId id) const;

  // The token whose spelling in the file is `piece`.
  std::optional<TokenId> Find(std::string_view piece) const;

  bool IsControl(TokenId id) const;          // also the unknown token
  bool IsEndOfGeneration(TokenId id) const;  // eos, eot and the like

  // Ids are 0 to size() - 1; the rows of a model's embedding may be more.
  size_t size() const { return pieces_.size(); }
  const SpecialIds& special() const { return special_; }
  std::optional<TokenId> bos() const { return special_.bos; }
  std::optional<TokenId> eos() const { return special_.eos; }
  const std::vector<TokenId>& end_of_generation() const { return end_of_generation_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }
  // Whether Decode() takes the space of a token for which StartsWithMark() off the start of a text.
  bool has_space_prefix() const {
    return rules_.mark_spaces && rules_.prefix != SpacePrefix::kNever;
  }
  bool StartsWithMark(TokenId id) const;

 private:
  Tokenizer(Vocabulary vocabulary, Normalizer normalizer, PreTokenizer pre_tokenizer);

  TokenKind KindOf(TokenId id) const { return kinds_[static_cast<size_t>(id)]; }
  bool InRange(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < pieces_.size(); }
  // Whether text that is not looked up as a special token may become `id`.
  bool IsText(TokenId id) const;

  Status IndexPieces();
  void IndexSingleBytes();
  Status IndexMerges(const std::vector<Merge>& merges);
  void IndexSpecial(const std::vector<AddedToken>& added);
  void CollectEndOfGeneration(std::vector<TokenId> more);

  std::string TokenText(TokenId id) const;
  std::string ReplaceUnspeltBytes(std::string_view text) const;
  std::string Normalize(std::string_view text) const;
  std::vector<TextSpan> PlainIn(std::string_view part, size_t offset,
                                std::span<const TextSpan> plain, std::string_view normalized) const;
  void EncodeNormalized(std::string_view text, bool find_control, std::span<const TextSpan> plain,
                        bool at_start, Merger* merger, std::vector<TokenId>* ids) const;
  void EncodeWord(std::string_view word, Merger* merger, std::vector<TokenId>* ids) const;
  void AppendSymbols(std::string_view word, std::vector<Symbol>* symbols) const;
  bool AppendUnspelt(std::string_view bytes, bool after_unknown, std::vector<TokenId>* ids) const;

  // Constant after Create().
  PieceUnit unit_;
  Segmentation segmentation_;
  TextRules rules_;
  std::vector<std::string> pieces_;  // as the file spells them
  std::vector<std::string> texts_;   // as they show
  std::vector<TokenKind> kinds_;
  std::vector<double> scores_;
  double unknown_score_;
  SpecialIds special_;
  std::vector<TokenId> end_of_generation_;  // sorted
  bool add_bos_;
  bool add_eos_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::unordered_map<std::string_view, TokenId> ids_;  // of all pieces, as the file spells them
  std::unordered_map<std::string_view, TokenId> text_ids_;  // of those that text becomes, by bytes
  std::vector<TokenId> byte_ids_;                           // 256: how a byte is spelt, or kNoToken
  bool lacks_bytes_ = false;                                // kByte: some byte is kNoToken
  std::unique_ptr<MergeRules> merge_rules_;                 // kUnigram: empty
  std::unique_ptr<UnigramPieces> unigram_;                  // kUnigram
  SpecialTokenFinder special_tokens_;                       // in text as it comes
  SpecialTokenFinder normalized_tokens_;                    // in normalised text
};

}  // namespace sluice
