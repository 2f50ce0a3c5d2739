// The merging of byte pair encoding: O(n log n) for a word of n characters, whatever it says.
//
// (R. Sennrich, B. Haddow, A. Birch, "Neural Machine Translation of Rare Words with Subword Units",
// 2016.) The neighbours that merge next wait in a heap, the symbols are a linked list.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace sluice {

inline constexpr TokenId kNoToken = -1;

// A stretch of a word that is one token, or kNoToken where no piece spells it.
struct Symbol {
  uint32_t begin = 0;
  uint32_t bytes = 0;
  TokenId id = kNoToken;
  int32_t previous = -1;
  int32_t next = -1;
};

// Which neighbours may merge, into what, and which go first.
class MergeRules {
 public:
  virtual ~MergeRules() = default;

  struct Merged {
    uint32_t rank = 0;  // the lowest goes first, the leftmost among equals
    TokenId id = kNoToken;
  };
  virtual std::optional<Merged> Find(std::string_view word, const Symbol& left,
                                     const Symbol& right) const = 0;
};

// The list of merges of a byte-level vocabulary or a tokenizer.json: ranked by place in the list.
class RankedMerges final : public MergeRules {
 public:
  explicit RankedMerges(size_t count);

  // Rank is the number of merges before. The first of equal pairs counts. REQUIRES: called at most
  // `count` times, ids not negative.
  void Add(TokenId left, TokenId right, TokenId merged);

  std::optional<Merged> Find(std::string_view word, const Symbol& left,
                             const Symbol& right) const override;

 private:
  struct Slot {
    uint64_t pair = 0;
    Merged merged;
  };

  size_t SlotOf(uint64_t pair) const;

  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  uint32_t next_rank_ = 0;
};

// SentencePiece's rule: neighbours merge where the vocabulary has their text, highest score first.
class ScoredPieces final : public MergeRules {
 public:
  // Takes the pieces that text may become; `pieces` outlives this. REQUIRES: scores are finite.
  ScoredPieces(const std::unordered_map<std::string_view, TokenId>& pieces,
               const std::vector<double>& scores);

  std::optional<Merged> Find(std::string_view word, const Symbol& left,
                             const Symbol& right) const override;

 private:
  const std::unordered_map<std::string_view, TokenId>& pieces_;
  std::vector<uint32_t> ranks_;  // by id
  size_t longest_ = 0;           // bytes
};

// The workspace of merging; holds its memory from word to word.
class Merger {
 public:
  explicit Merger(const MergeRules& rules) : rules_(rules) {}

  // Merges the neighbours in `symbols`, which cover `word` in order, until none are left that may.
  // `previous` and `next` of the argument are ignored and without meaning in the result.
  void Merge(std::string_view word, std::vector<Symbol>* symbols);

 private:
  struct Candidate {
    uint32_t rank;
    int32_t left;
    uint32_t bytes;  // of both together: tells whether they are still what they were
    TokenId id;
  };

  static bool Later(const Candidate& a, const Candidate& b);
  void Consider(std::string_view word, const std::vector<Symbol>& symbols, int32_t left);

  const MergeRules& rules_;
  std::vector<Candidate> heap_;
};

}  // namespace sluice
