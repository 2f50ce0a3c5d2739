// UnigramPieces: how a unigram language model cuts a word into pieces.
//
// (T. Kudo, "Subword Regularization", 2018.) Every piece has a score, its log probability; a word
// becomes the row of pieces with the highest sum, found by dynamic programming from left to right.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/merge.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// Thread-safety: const methods may run concurrently.
class UnigramPieces {
 public:
  // `pieces`: those that text may become, kMaxUnigramBytes at most, and their ids; `scores` by id.
  UnigramPieces(const std::unordered_map<std::string_view, TokenId>& pieces,
                std::vector<double> scores, double unknown_score);

  // Appends the pieces of `word` in order; kNoToken stands for a row of characters that no piece
  // spells. Of equal sums the one wins whose last piece is the longest.
  // Cost: O(bytes of the word times those of the longest piece that fits anywhere).
  void Cut(std::string_view word, std::vector<Symbol>* symbols) const;

 private:
  struct Node {
    uint32_t first_child = 0;  // children lie together, by their bytes
    uint16_t children = 0;
    uint8_t byte = 0;       // which leads here
    TokenId id = kNoToken;  // of the piece that ends here
  };

  // The best row of pieces that ends at a position.
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    uint32_t begin = 0;  // of the last piece
    TokenId id = kNoToken;

    void Offer(double sum, size_t from, TokenId piece);
  };

  // The child for `byte`, 0 if there is none: the root is nobody's child.
  uint32_t Child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::vector<double> scores_;
  double unknown_score_;
};

}  // namespace sluice
