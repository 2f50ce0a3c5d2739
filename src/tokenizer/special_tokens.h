// SpecialTokenFinder: the tokens that are found whole in text, before it is cut into words.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// A stretch of text: a special token, or (kNoToken) plain text.
struct TextSegment {
  TextSpan span;
  TokenId id = -1;
};

class SpecialTokenFinder {
 public:
  // `rules.id` is the token that `text` becomes. Empty texts are ignored, the first of equal texts
  // counts. `control`: the token is found only where control tokens are asked for.
  void Add(std::string_view text, const AddedToken& rules, bool control);

  bool empty() const { return tokens_.empty(); }

  // Cuts `text`: leftmost first, the longest where several start at the same place. No token is
  // found that touches one of `plain`, which are in order: files do not agree on which tokens are
  // control tokens, and a person may write none of them. Cost: the bytes of `text` times
  // those of the longest token at worst.
  std::vector<TextSegment> Cut(std::string_view text, bool find_control,
                               std::span<const TextSpan> plain = {}) const;

 private:
  struct Token {
    AddedToken rules;
    bool control = false;
  };
  struct Match {
    TextSpan span;
    const Token* token = nullptr;
  };

  uint32_t Child(uint32_t node, uint8_t byte) const;
  // Ends at `end` at the latest.
  Match LongestAt(std::string_view text, size_t position, size_t end, bool find_control) const;

  std::vector<Token> tokens_;
  // A trie: node 0 is the root; the children by node * 256 + byte; the token that ends at a node.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> token_at_{-1};
};

}  // namespace sluice
