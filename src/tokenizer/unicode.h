// Reading text one character at a time: UTF-8, character classes, normal forms, GPT-2's byte
// alphabet.
//
// Text here may be any bytes. A byte that is not part of a valid sequence is a character of its
// own, of no class, so that everything can be split and later put together again unchanged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct Utf8Char {
  char32_t code = 0xFFFD;  // U+FFFD where invalid
  uint32_t bytes = 1;      // 1 where invalid
  bool valid = false;
};

// REQUIRES: position < text.size().
Utf8Char DecodeUtf8(std::string_view text, size_t position);

// `code` must be a Unicode scalar value (no surrogate).
void AppendUtf8(char32_t code, std::string* out);

// Bytes at the end of `text` that begin a character whose other bytes are still to come: 0 to 3.
size_t IncompleteUtf8Tail(std::string_view text);

// `text` with U+FFFD for each longest piece that is not UTF-8.
std::string ReplaceInvalidUtf8(std::string_view text);

// Character classes, as bits.
enum CharClass : uint32_t {
  kUpper = 1,        // Lu Lt
  kLower = 2,        // Ll
  kOtherLetter = 4,  // Lm Lo
  kLetter = kUpper | kLower | kOtherLetter,
  kMark = 8,          // Mn Mc Me
  kNumber = 16,       // Nd Nl No
  kPunctuation = 32,  // Pc Pd Ps Pe Pi Pf Po
  kSymbol = 64,       // Sm Sc Sk So
  kSpace = 128,       // White_Space
};

// The classes of a code point; 0 for control characters and unassigned ones.
uint32_t ClassOf(char32_t code);

inline bool IsClass(char32_t code, uint32_t classes) { return (ClassOf(code) & classes) != 0; }

// The normal forms of Unicode's annex 15.
enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// The valid stretches of `text` in a normal form. Cost: O(n log n) whatever the text.
std::string NormalizeUnicode(std::string_view text, NormalForm form);

// Whether NormalizeUnicode() could change `text`; false is certain, true is not.
bool MayNeedNormalizing(std::string_view text, NormalForm form);

// GPT-2's printable alphabet: each byte is one character. Its inverse, or nullopt for characters
// outside of the alphabet.
char32_t ByteToAlphabet(uint8_t byte);
std::optional<uint8_t> AlphabetToByte(char32_t code);

// `text` in double quotes for an error message: printable ASCII, other bytes as \xNN, cut when
// long.
std::string QuoteForMessage(std::string_view text);

}  // namespace sluice
