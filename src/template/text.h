// Text: a string inside a template, as Python has it: code points, not bytes.
//
// The highest bit of a character says who wrote it: the template, or the person whose messages it
// formats. The bit travels with the character through every slice, join and replacement, and is
// seen by nothing but the tokenizer, which never makes control tokens of what a person wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/splitter.h"

namespace sluice::jinja {

enum class Author { kTemplate, kPerson };

inline constexpr char32_t kPersonBit = 0x80000000;
// Bytes that are not UTF-8 are characters 0xDC80 to 0xDCFF, which UTF-8 cannot hold (as Python's
// "surrogateescape"), and come out as the bytes that they were.
inline constexpr char32_t kByteCharacters = 0xDC00;

constexpr char32_t CodeOf(char32_t character) { return character & ~kPersonBit; }
constexpr char32_t AuthorBit(char32_t character) { return character & kPersonBit; }

// Comparisons and searches do not see who wrote a character.
struct TextTraits : std::char_traits<char32_t> {
  static constexpr bool eq(char32_t a, char32_t b) { return CodeOf(a) == CodeOf(b); }  // NOLINT
  static constexpr bool lt(char32_t a, char32_t b) { return CodeOf(a) < CodeOf(b); }   // NOLINT
  static int compare(const char32_t* a, const char32_t* b, size_t count);              // NOLINT
  static const char32_t* find(const char32_t* text, size_t count, char32_t c);         // NOLINT
};

using Text = std::basic_string<char32_t, TextTraits>;
using TextView = std::basic_string_view<char32_t, TextTraits>;

struct TextHash {
  size_t operator()(const Text& text) const;
};

// Line breaks stay as they are.
Text TextFrom(std::string_view utf8, Author author = Author::kTemplate);
std::string Utf8(TextView text);

// Appends the bytes of `text`, and to `by_person` where among all bytes a person wrote.
void AppendUtf8Text(TextView text, std::string* out, std::vector<TextSpan>* by_person);

// Python's str.isspace(), isprintable(), and the categories behind isalpha() and the like.
bool IsSpace(char32_t character);
bool IsPrintable(char32_t character);
bool IsDecimal(char32_t character);
bool IsAlpha(char32_t character);
bool IsNumeric(char32_t character);  // isdigit(), isdecimal() or isalnum()'s numbers
bool IsUpper(char32_t character);
bool IsLower(char32_t character);

Text Upper(TextView text);
Text Lower(TextView text);
Text Capitalize(TextView text);
Text TitleCase(TextView text);  // str.title(): every run of letters

enum class Side { kBoth, kLeft, kRight };
// `characters` empty: whitespace.
TextView Strip(TextView text, TextView characters, Side side);

// Lines without their breaks, by every break that Python's splitlines() knows; or with them.
enum class LineBreaks { kDrop, kKeep };
std::vector<TextView> SplitLines(TextView text, LineBreaks breaks);

// Finds one text in others, in time linear in both (Knuth, Morris and Pratt), whatever they say.
class TextFinder {
 public:
  // `what` outlives this.
  explicit TextFinder(TextView what);
  // The first place at or after `from`, or npos.
  size_t Find(TextView text, size_t from = 0) const;
  size_t FindLast(TextView text) const;
  // Places that do not overlap, as str.count() counts them.
  size_t Count(TextView text) const;

 private:
  TextView what_;
  std::vector<uint32_t> shorter_;  // by length matched: the next longest that may still match
};

// Replaces the first `limit` places, all if it is negative.
Text ReplaceText(TextView text, TextView from, TextView to, int64_t limit);

}  // namespace sluice::jinja
