// Charsmap: SentencePiece's precompiled table of what characters are normalised to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"

namespace sluice {

class Charsmap {
 public:
  // `bytes` as a model file has them: the size of a double-array trie in four bytes (little
  // endian), the trie, then the replacements, each with a zero at its end.
  static Result<Charsmap> Create(std::string_view bytes);

  // Bytes of the start of a text, 0 where no entry fits, and what they become.
  struct Match {
    size_t bytes = 0;
    std::string_view replacement;  // lives as long as the table
  };
  Match Longest(std::string_view text) const { return Find(text, Wanted::kLongest); }
  Match Shortest(std::string_view text) const { return Find(text, Wanted::kShortest); }

  // The most bytes that one entry writes.
  size_t longest_replacement() const;

 private:
  enum class Wanted { kLongest, kShortest };
  Match Find(std::string_view text, Wanted wanted) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

// The bytes that base64 (RFC 4648, with padding or without) spells.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace sluice
