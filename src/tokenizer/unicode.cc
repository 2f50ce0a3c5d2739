// UTF-8 as RFC 3629 has it (no overlong forms, no surrogates), classes by utf8proc's table, and
// normal forms whose canonical ordering is a real sort: a row of a million combining marks is
// input, too.
#include "tokenizer/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr size_t kLongestQuote = 48;  // bytes of a text that an error message repeats
// Composition cannot reach across ASCII, which lets long texts be normalised in stretches.
constexpr size_t kStretch = 4096;
constexpr auto kDecompose = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
constexpr auto kDecomposeCompatible = static_cast<utf8proc_option_t>(kDecompose | UTF8PROC_COMPAT);
constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);

// Length that a leading byte announces (0: none) and the range that the second byte must be in.
struct Lead {
  uint32_t length = 0;
  uint8_t second_low = 0x80;
  uint8_t second_high = 0xBF;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {.length = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.length = 2};
  if (byte == 0xE0) return {.length = 3, .second_low = 0xA0};
  if (byte == 0xED) return {.length = 3, .second_high = 0x9F};
  if (byte < 0xF0) return {.length = 3};
  if (byte == 0xF0) return {.length = 4, .second_low = 0x90};
  if (byte < 0xF4) return {.length = 4};
  if (byte == 0xF4) return {.length = 4, .second_high = 0x8F};
  return {};
}

// How many bytes from `position` on follow the rules of one character, up to its length.
uint32_t GoodBytes(std::string_view text, size_t position, const Lead& lead) {
  uint32_t good = lead.length == 0 ? 0 : 1;
  while (good < lead.length && position + good < text.size()) {
    const auto byte = static_cast<uint8_t>(text[position + good]);
    const uint8_t low = good == 1 ? lead.second_low : 0x80;
    const uint8_t high = good == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) break;
    ++good;
  }
  return good;
}

bool IsWhiteSpace(char32_t code) {
  switch (code) {
    case 0x20:
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return (code >= 0x09 && code <= 0x0D) || (code >= 0x2000 && code <= 0x200A);
  }
}

uint32_t ClassFromTable(char32_t code) {
  if (IsWhiteSpace(code)) return kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kOtherLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    default:
      return 0;
  }
}

std::array<uint8_t, 128> AsciiClasses() {
  std::array<uint8_t, 128> classes{};
  for (size_t code = 0; code < classes.size(); ++code) {
    classes[code] = static_cast<uint8_t>(ClassFromTable(static_cast<char32_t>(code)));
  }
  return classes;
}

int CombiningClass(int32_t code) {
  return static_cast<int>(utf8proc_get_property(code)->combining_class);
}

// Puts every row of combining marks into canonical order.
void OrderMarks(std::vector<int32_t>* codes) {
  size_t i = 0;
  while (i < codes->size()) {
    size_t end = i;
    while (end < codes->size() && CombiningClass((*codes)[end]) != 0) ++end;
    std::stable_sort(codes->begin() + static_cast<ptrdiff_t>(i),
                     codes->begin() + static_cast<ptrdiff_t>(end),
                     [](int32_t a, int32_t b) { return CombiningClass(a) < CombiningClass(b); });
    i = end + 1;
  }
}

bool Composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }
bool IsCompatible(NormalForm form) {
  return form == NormalForm::kNfkc || form == NormalForm::kNfkd;
}

// Appends decomposed, unordered `codes` in the normal form and empties them.
void AppendNormal(NormalForm form, std::vector<int32_t>* codes, std::string* out) {
  if (codes->empty()) return;
  OrderMarks(codes);
  auto count = static_cast<utf8proc_ssize_t>(codes->size());
  if (Composes(form)) count = utf8proc_normalize_utf32(codes->data(), count, kCompose);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    AppendUtf8(static_cast<char32_t>((*codes)[static_cast<size_t>(i)]), out);
  }
  codes->clear();
}

void AppendDecomposed(char32_t code, NormalForm form, std::vector<int32_t>* codes) {
  std::array<utf8proc_int32_t, 32> decomposed{};  // 18 are enough for any character of Unicode
  int boundary = 0;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), decomposed.data(),
                              static_cast<utf8proc_ssize_t>(decomposed.size()),
                              IsCompatible(form) ? kDecomposeCompatible : kDecompose, &boundary);
  if (count < 0 || static_cast<size_t>(count) > decomposed.size()) {
    codes->push_back(static_cast<int32_t>(code));
    return;
  }
  codes->insert(codes->end(), decomposed.begin(), decomposed.begin() + count);
}

struct Alphabet {
  std::array<char32_t, 256> code_of_byte{};
  std::array<int16_t, 512> byte_of_code{};
};

// Bytes that print as themselves in Latin-1 keep their code; the others follow from U+0100 on.
Alphabet MakeAlphabet() {
  Alphabet alphabet;
  alphabet.byte_of_code.fill(-1);
  char32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const char32_t code = prints ? static_cast<char32_t>(byte) : next++;
    alphabet.code_of_byte[byte] = code;
    alphabet.byte_of_code[code] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet = MakeAlphabet();
  return alphabet;
}

}  // namespace

Utf8Char DecodeUtf8(std::string_view text, size_t position) {
  const auto first = static_cast<uint8_t>(text[position]);
  if (first < 0x80) return {.code = first, .bytes = 1, .valid = true};
  const Lead lead = LeadOf(first);
  if (lead.length == 0 || GoodBytes(text, position, lead) < lead.length) return {};
  // The leading byte keeps 7 - length bits, each following byte six.
  char32_t code = first & (0x7FU >> lead.length);
  for (uint32_t i = 1; i < lead.length; ++i) {
    code = (code << 6) | (static_cast<uint8_t>(text[position + i]) & 0x3FU);
  }
  return {.code = code, .bytes = lead.length, .valid = true};
}

void AppendUtf8(char32_t code, std::string* out) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6));
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12));
    put(0x80U | ((code >> 6) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | (code >> 18));
    put(0x80U | ((code >> 12) & 0x3FU));
    put(0x80U | ((code >> 6) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

size_t IncompleteUtf8Tail(std::string_view text) {
  for (size_t tail = 1; tail <= 3 && tail <= text.size(); ++tail) {
    const size_t position = text.size() - tail;
    const Lead lead = LeadOf(static_cast<uint8_t>(text[position]));
    if (lead.length == 0) continue;  // a following byte, or none at all: look further back
    const bool waits = lead.length > tail && GoodBytes(text, position, lead) == tail;
    return waits ? tail : 0;
  }
  return 0;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text, i);
    if (c.valid) {
      out.append(text.substr(i, c.bytes));
      i += c.bytes;
    } else {
      AppendUtf8(kReplacement, &out);
      const Lead lead = LeadOf(static_cast<uint8_t>(text[i]));
      i += std::max<uint32_t>(1, GoodBytes(text, i, lead));
    }
  }
  return out;
}

uint32_t ClassOf(char32_t code) {
  static const std::array<uint8_t, 128> ascii = AsciiClasses();
  if (code < ascii.size()) return ascii[code];
  // U+FFFD is a symbol; standing for a broken byte it is treated the same.
  return ClassFromTable(code);
}

bool MayNeedNormalizing(std::string_view text, NormalForm form) {
  // Characters below U+0300 neither combine nor decompose into something else when composed; ASCII
  // stays as it is in every form.
  const uint8_t first = form == NormalForm::kNfc ? 0xCC : 0x80;
  return std::any_of(text.begin(), text.end(),
                     [first](char c) { return static_cast<uint8_t>(c) >= first; });
}

std::string NormalizeUnicode(std::string_view text, NormalForm form) {
  std::string out;
  out.reserve(text.size());
  std::vector<int32_t> codes;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text, i);
    if (!c.valid) {
      AppendNormal(form, &codes, &out);
      out.push_back(text[i]);
    } else {
      if (c.code < 0x80 && codes.size() > kStretch) AppendNormal(form, &codes, &out);
      AppendDecomposed(c.code, form, &codes);
    }
    i += c.bytes;
  }
  AppendNormal(form, &codes, &out);
  return out;
}

char32_t ByteToAlphabet(uint8_t byte) { return TheAlphabet().code_of_byte[byte]; }

std::optional<uint8_t> AlphabetToByte(char32_t code) {
  const auto& table = TheAlphabet().byte_of_code;
  if (code >= table.size() || table[code] < 0) return std::nullopt;
  return static_cast<uint8_t>(table[code]);
}

std::string QuoteForMessage(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kLongestQuote)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\') {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  out += text.size() > kLongestQuote ? "...\"" : "\"";
  return out;
}

}  // namespace sluice
