// Characters with Python's properties, from utf8proc's tables.
#include "template/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

utf8proc_category_t CategoryOf(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(CodeOf(character)));
}

// What upper() makes of characters whose capitals are several (Unicode's SpecialCasing).
TextView LongCapitals(char32_t code) {
  static constexpr std::u32string_view kFrom =
      U"\u00DF\u0149\u01F0\u0390\u03B0\u0587\uFB00\uFB01"
      U"\uFB02\uFB03\uFB04\uFB05\uFB06";
  static constexpr TextView kTo[] = {U"SS",
                                     U"\u02BCN",
                                     U"J\u030C",
                                     U"\u0399\u0308\u0301",
                                     U"\u03A5\u0308\u0301",
                                     U"\u0535\u0552",
                                     U"FF",
                                     U"FI",
                                     U"FL",
                                     U"FFI",
                                     U"FFL",
                                     U"ST",
                                     U"ST"};
  const size_t place = kFrom.find(code);
  return place == std::u32string_view::npos ? TextView() : kTo[place];
}

enum class Case { kUpper, kTitle };

void AppendRaised(char32_t character, Case to, Text* out) {
  const char32_t code = CodeOf(character);
  const char32_t author = AuthorBit(character);
  const TextView several = LongCapitals(code);
  for (size_t i = 0; i < several.size(); ++i) {
    const bool small = to == Case::kTitle && i > 0;
    const char32_t c = several[i];
    out->push_back((small ? static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(c))) : c) |
                   author);
  }
  if (!several.empty()) return;
  const auto single = static_cast<utf8proc_int32_t>(code);
  out->push_back(static_cast<char32_t>(to == Case::kTitle ? utf8proc_totitle(single)
                                                          : utf8proc_toupper(single)) |
                 author);
}

bool IsCased(char32_t character) {
  const auto category = CategoryOf(character);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

bool IsLetterLike(char32_t character) {  // what a final sigma looks for
  return CategoryOf(character) >= UTF8PROC_CATEGORY_LU &&
         CategoryOf(character) <= UTF8PROC_CATEGORY_LT;
}

// A capital sigma at the end of a word has a small form of its own.
bool IsFinalSigma(TextView text, size_t at) {
  const bool after = at > 0 && IsLetterLike(text[at - 1]);
  const bool before = at + 1 < text.size() && IsLetterLike(text[at + 1]);
  return after && !before;
}

void AppendLowered(TextView text, size_t at, Text* out) {
  const char32_t author = AuthorBit(text[at]);
  const char32_t code = CodeOf(text[at]);
  if (code == 0x3A3) {
    out->push_back((IsFinalSigma(text, at) ? 0x3C2 : 0x3C3) | author);
  } else if (code == 0x130) {
    out->push_back('i' | author);
    out->push_back(0x307 | author);
  } else {
    out->push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(code))) | author);
  }
}

bool IsLineBreak(char32_t code) {
  return (code >= '\n' && code <= '\r') || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

}  // namespace

int TextTraits::compare(const char32_t* a, const char32_t* b, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (lt(a[i], b[i])) return -1;
    if (lt(b[i], a[i])) return 1;
  }
  return 0;
}

const char32_t* TextTraits::find(const char32_t* text, size_t count, char32_t c) {
  const char32_t* end = text + count;
  const char32_t* found = std::find_if(text, end, [c](char32_t other) { return eq(c, other); });
  return found == end ? nullptr : found;
}

size_t TextHash::operator()(const Text& text) const {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char32_t c : text) hash = (hash ^ CodeOf(c)) * 0x100000001B3;
  return hash;
}

Text TextFrom(std::string_view utf8, Author author) {
  const char32_t bit = author == Author::kPerson ? kPersonBit : 0;
  Text text;
  text.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size();) {
    const Utf8Char c = DecodeUtf8(utf8, i);
    text.push_back((c.valid ? c.code : kByteCharacters + static_cast<uint8_t>(utf8[i])) | bit);
    i += c.bytes;
  }
  return text;
}

void AppendUtf8Text(TextView text, std::string* out, std::vector<TextSpan>* by_person) {
  for (const char32_t c : text) {
    const size_t begin = out->size();
    const char32_t code = CodeOf(c);
    if (code >= kByteCharacters && code < kByteCharacters + 0x100) {
      out->push_back(static_cast<char>(code - kByteCharacters));
    } else {
      AppendUtf8(code, out);
    }
    if (AuthorBit(c) == 0 || by_person == nullptr) continue;
    if (by_person->empty() || by_person->back().end != begin)
      by_person->push_back({.begin = begin, .end = begin});
    by_person->back().end = out->size();
  }
}

std::string Utf8(TextView text) {
  std::string out;
  AppendUtf8Text(text, &out, nullptr);
  return out;
}

bool IsSpace(char32_t character) {
  const char32_t code = CodeOf(character);
  return (code >= 0x1C && code <= 0x1F) || IsClass(code, kSpace);
}

bool IsPrintable(char32_t character) {
  const char32_t code = CodeOf(character);
  if (code == ' ') return true;
  if (code >= 0xD800 && code <= 0xDFFF) return false;
  switch (CategoryOf(character)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool IsDecimal(char32_t character) { return CategoryOf(character) == UTF8PROC_CATEGORY_ND; }
bool IsAlpha(char32_t character) { return IsClass(CodeOf(character), kLetter); }
bool IsNumeric(char32_t character) { return IsClass(CodeOf(character), kNumber); }
bool IsUpper(char32_t character) { return CategoryOf(character) == UTF8PROC_CATEGORY_LU; }
bool IsLower(char32_t character) { return CategoryOf(character) == UTF8PROC_CATEGORY_LL; }

Text Upper(TextView text) {
  Text out;
  out.reserve(text.size());
  for (const char32_t c : text) AppendRaised(c, Case::kUpper, &out);
  return out;
}

Text Lower(TextView text) {
  Text out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) AppendLowered(text, i, &out);
  return out;
}

Text Capitalize(TextView text) {
  Text out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 0) {
      AppendRaised(text[i], Case::kTitle, &out);
    } else {
      AppendLowered(text, i, &out);
    }
  }
  return out;
}

Text TitleCase(TextView text) {
  Text out;
  out.reserve(text.size());
  bool within = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (within) {
      AppendLowered(text, i, &out);
    } else {
      AppendRaised(text[i], Case::kTitle, &out);
    }
    within = IsCased(text[i]);
  }
  return out;
}

TextView Strip(TextView text, TextView characters, Side side) {
  std::vector<char32_t> sorted;
  sorted.reserve(characters.size());
  for (const char32_t c : characters) sorted.push_back(CodeOf(c));
  std::sort(sorted.begin(), sorted.end());
  const auto goes = [&](char32_t c) {
    return sorted.empty() ? IsSpace(c)
                          : std::binary_search(sorted.begin(), sorted.end(), CodeOf(c));
  };
  while (side != Side::kRight && !text.empty() && goes(text.front())) text.remove_prefix(1);
  while (side != Side::kLeft && !text.empty() && goes(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<TextView> SplitLines(TextView text, LineBreaks breaks) {
  std::vector<TextView> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t code = CodeOf(text[i]);
    if (!IsLineBreak(code)) continue;
    const size_t end = i;
    if (code == '\r' && i + 1 < text.size() && CodeOf(text[i + 1]) == '\n') ++i;
    lines.push_back(text.substr(begin, (breaks == LineBreaks::kKeep ? i + 1 : end) - begin));
    begin = i + 1;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

TextFinder::TextFinder(TextView what) : what_(what), shorter_(what.size() + 1) {
  uint32_t matched = 0;
  for (size_t i = 1; i < what.size(); ++i) {
    while (matched > 0 && !TextTraits::eq(what[i], what[matched])) matched = shorter_[matched];
    if (TextTraits::eq(what[i], what[matched])) ++matched;
    shorter_[i + 1] = matched;
  }
}

size_t TextFinder::Find(TextView text, size_t from) const {
  if (from > text.size()) return TextView::npos;
  if (what_.empty()) return from;
  size_t matched = 0;
  for (size_t i = from; i < text.size(); ++i) {
    while (matched > 0 && !TextTraits::eq(text[i], what_[matched])) matched = shorter_[matched];
    if (TextTraits::eq(text[i], what_[matched])) ++matched;
    if (matched == what_.size()) return i + 1 - matched;
  }
  return TextView::npos;
}

size_t TextFinder::FindLast(TextView text) const {
  if (what_.empty()) return text.size();
  size_t last = TextView::npos;
  size_t matched = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    while (matched > 0 && !TextTraits::eq(text[i], what_[matched])) matched = shorter_[matched];
    if (TextTraits::eq(text[i], what_[matched])) ++matched;
    if (matched < what_.size()) continue;
    last = i + 1 - matched;
    matched = shorter_[matched];
  }
  return last;
}

size_t TextFinder::Count(TextView text) const {
  if (what_.empty()) return text.size() + 1;
  size_t count = 0;
  for (size_t at = Find(text); at != TextView::npos; at = Find(text, at + what_.size())) ++count;
  return count;
}

Text ReplaceText(TextView text, TextView from, TextView to, int64_t limit) {
  const TextFinder finder(from);
  Text out;
  size_t done = 0;
  size_t at = 0;
  for (int64_t count = 0; limit < 0 || count < limit; ++count) {
    const size_t found = finder.Find(text, at);
    if (found == TextView::npos) break;
    out += text.substr(done, found - done);
    out += to;
    done = found + from.size();
    at = from.empty() ? found + 1 : done;
    if (at > text.size()) break;
  }
  out += text.substr(std::min(done, text.size()));
  return out;
}

}  // namespace sluice::jinja
