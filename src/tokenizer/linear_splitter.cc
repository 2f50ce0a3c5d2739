// The pre-tokenizers of the known model families, each a matcher that walks the text once or a
// fixed number of times. Tested against the same patterns in PCRE2 (splitter_test.cc).
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"

namespace sluice {

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kGpt4oPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kDeepseekV3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kBailingPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";
const std::string_view kCl100kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";
const std::string_view kSeedCoderPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kBloomPattern = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
const std::string_view kLineEndPattern = R"(\s+$)";

namespace {

constexpr uint32_t kWordy = kSpace | kLetter | kNumber;

bool IsLineBreak(char32_t code) { return code == '\r' || code == '\n'; }

// Positions in one text; every method takes and returns byte positions.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  size_t size() const { return text_.size(); }
  bool AtEnd(size_t i) const { return i >= text_.size(); }
  Utf8Char At(size_t i) const { return DecodeUtf8(text_, i); }
  bool IsByte(size_t i, char byte) const { return i < text_.size() && text_[i] == byte; }

  bool Is(size_t i, uint32_t classes) const { return !AtEnd(i) && IsClass(At(i).code, classes); }
  bool IsNot(size_t i, uint32_t classes) const {
    return !AtEnd(i) && !IsClass(At(i).code, classes);
  }

  // The end of the row of characters from `i` on for which `belongs(code)`.
  template <typename Belongs>
  size_t SkipWhile(size_t i, Belongs belongs) const {
    while (!AtEnd(i)) {
      const Utf8Char c = At(i);
      if (!belongs(c.code)) break;
      i += c.bytes;
    }
    return i;
  }
  size_t Skip(size_t i, uint32_t classes) const {
    return SkipWhile(i, [classes](char32_t code) { return IsClass(code, classes); });
  }
  size_t SkipNot(size_t i, uint32_t classes) const {
    return SkipWhile(i, [classes](char32_t code) { return !IsClass(code, classes); });
  }

  // \p{N}{1,most}, or `i`.
  size_t SkipNumbers(size_t i, int most) const {
    for (; most > 0 && Is(i, kNumber); --most) i += At(i).bytes;
    return i;
  }

  // The end of an English contraction's tail ("'s", "'re", ...) at `i`, or `i`.
  size_t SkipContraction(size_t i, bool any_case) const {
    if (!IsByte(i, '\'') || AtEnd(i + 1)) return i;
    const auto letter = [&](size_t at) -> char32_t {
      if (AtEnd(at)) return 0;
      const char32_t code = At(at).code;
      // U+017F is the one letter outside ASCII that is one of these in another case.
      if (any_case && code == 0x17F) return 's';
      return any_case && code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code;
    };
    const char32_t first = letter(i + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
      return i + 1 + At(i + 1).bytes;
    }
    const char32_t second = letter(i + 2);
    const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
    return two ? i + 3 : i;
  }

  //  ?[^\s\p{L}\p{N}]+ or `i`; `wordy` are the classes that do not belong.
  size_t SkipSymbols(size_t i, uint32_t wordy = kWordy) const {
    const size_t begin = IsByte(i, ' ') ? i + 1 : i;
    const size_t end = SkipNot(begin, wordy);
    return end > begin ? end : i;
  }

  // \s+(?!\S)|\s+ : a row of whitespace without its last character, which goes with the next word.
  size_t SkipSpaces(size_t i) const {
    size_t last = i;
    size_t end = i;
    while (Is(end, kSpace)) {
      last = end;
      end += At(end).bytes;
    }
    return AtEnd(end) || last == i ? end : last;
  }

  // \s*[\r\n]+ or `i`: a row of whitespace up to its last line break.
  size_t SkipToLineBreak(size_t i) const {
    size_t after_break = i;
    for (size_t end = i; Is(end, kSpace);) {
      const Utf8Char c = At(end);
      end += c.bytes;
      if (IsLineBreak(c.code)) after_break = end;
    }
    return after_break;
  }

 private:
  std::string_view text_;
};

// A pattern whose alternatives together match every text: `End` is the end of the match at `i`.
template <size_t (*End)(const Reader&, size_t)>
class CoveringSplitter final : public Splitter {
 public:
  void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const override {
    const Reader reader(text);
    for (size_t i = 0; i < text.size();) {
      // Every alternative but the last needs something; one character at least always goes.
      const size_t end = std::max(End(reader, i), i + 1);
      matches->push_back({.begin = i, .end = end});
      i = end;
    }
  }
};

size_t Gpt2End(const Reader& r, size_t i) {
  if (const size_t end = r.SkipContraction(i, false); end > i) return end;
  const size_t begin = r.IsByte(i, ' ') ? i + 1 : i;
  if (r.Is(begin, kLetter)) return r.Skip(begin, kLetter);
  if (r.Is(begin, kNumber)) return r.Skip(begin, kNumber);
  if (const size_t end = r.SkipSymbols(i); end > i) return end;
  return r.SkipSpaces(i);
}

// What goes with a row of symbols before it.
enum class AfterSymbols { kNothing, kLineBreaks, kLineBreaksAndSlashes };

// What Qwen2, Llama 3 and GPT-4o share after words and numbers.
size_t SymbolsOrSpaceEnd(const Reader& r, size_t i, AfterSymbols after, uint32_t wordy = kWordy) {
  if (const size_t end = r.SkipSymbols(i, wordy); end > i) {
    return r.SkipWhile(end, [after](char32_t code) {
      return (after != AfterSymbols::kNothing && IsLineBreak(code)) ||
             (after == AfterSymbols::kLineBreaksAndSlashes && code == '/');
    });
  }
  if (const size_t end = r.SkipToLineBreak(i); end > i) return end;
  return r.SkipSpaces(i);
}

// The start of the word at `i` under [^\r\n\p{L}\p{N}]?: `i` or the character after it.
size_t AfterWordPrefix(const Reader& r, size_t i) {
  const Utf8Char c = r.At(i);
  const bool prefix = !IsLineBreak(c.code) && !IsClass(c.code, kLetter | kNumber);
  return prefix ? i + c.bytes : i;
}

template <int kDigits, uint32_t kLetters, AfterSymbols kAfter = AfterSymbols::kLineBreaks>
size_t Qwen2End(const Reader& r, size_t i) {
  if (const size_t end = r.SkipContraction(i, true); end > i) return end;
  // A mark may be the prefix or the word: with the prefix first, then without.
  for (const size_t word : {AfterWordPrefix(r, i), i}) {
    if (r.Is(word, kLetters)) return r.Skip(word, kLetters);
  }
  if (const size_t end = r.SkipNumbers(i, kDigits); end > i) return end;
  return SymbolsOrSpaceEnd(r, i, kAfter, kWordy | kLetters);
}

constexpr uint32_t kCapital = kUpper | kOtherLetter | kMark;  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr uint32_t kSmall = kLower | kOtherLetter | kMark;    // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

// kCapital* kSmall+ from `i`, or `i`. Letters without case are both: the row of capitals gives the
// last such back where no small letter follows it.
size_t CapitalsThenSmall(const Reader& r, size_t i) {
  size_t after_both = i;
  size_t end = i;
  while (r.Is(end, kCapital)) {
    const Utf8Char c = r.At(end);
    end += c.bytes;
    if (IsClass(c.code, kSmall)) after_both = end;
  }
  const size_t small_end = r.Skip(end, kSmall);
  return small_end > end ? small_end : after_both;
}

// kCapital+ kSmall* from `i`, or `i`.
size_t SomeCapitals(const Reader& r, size_t i) {
  const size_t end = r.Skip(i, kCapital);
  return end > i ? r.Skip(end, kSmall) : i;
}

// The end of a word that turns from capitals to small letters once, or `i`.
size_t CasedWordEnd(const Reader& r, size_t i) {
  const size_t word = AfterWordPrefix(r, i);
  // A mark may be the prefix or part of the word: with the prefix first, then without.
  for (const auto& match : {CapitalsThenSmall, SomeCapitals}) {
    for (const size_t begin : {word, i}) {
      if (const size_t end = match(r, begin); end > begin) return end;
    }
  }
  return i;
}

size_t Gpt4oEnd(const Reader& r, size_t i) {
  if (const size_t end = CasedWordEnd(r, i); end > i) return r.SkipContraction(end, true);
  if (const size_t end = r.SkipNumbers(i, 3); end > i) return end;
  return SymbolsOrSpaceEnd(r, i, AfterSymbols::kLineBreaksAndSlashes);
}

size_t TekkenEnd(const Reader& r, size_t i) {
  if (const size_t end = CasedWordEnd(r, i); end > i) return end;
  if (const size_t end = r.SkipNumbers(i, 1); end > i) return end;
  return SymbolsOrSpaceEnd(r, i, AfterSymbols::kLineBreaksAndSlashes);
}

bool IsAsciiLetter(char32_t code) {
  return (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
}

// DeepSeek-V3's last step, which leaves numbers and control characters unmatched: `i` there.
size_t DeepseekV3End(const Reader& r, size_t i) {
  const Utf8Char c = r.At(i);
  if (c.code < 0x80 && IsClass(c.code, kPunctuation | kSymbol)) {
    const size_t end = r.SkipWhile(i + 1, IsAsciiLetter);
    if (end > i + 1) return end;
  }
  const bool prefix = !IsLineBreak(c.code) && !IsClass(c.code, kLetter | kPunctuation | kSymbol);
  for (const size_t word : {prefix ? i + c.bytes : i, i}) {
    if (r.Is(word, kLetter | kMark)) return r.Skip(word, kLetter | kMark);
  }
  const size_t symbols = r.IsByte(i, ' ') ? i + 1 : i;
  if (const size_t end = r.Skip(symbols, kPunctuation | kSymbol); end > symbols) {
    return r.SkipWhile(end, IsLineBreak);
  }
  if (const size_t end = r.SkipToLineBreak(i); end > i) return end;
  return r.SkipSpaces(i);
}

// A pattern that leaves some characters unmatched: there `End` is `i`.
template <size_t (*End)(const Reader&, size_t)>
class PartialSplitter final : public Splitter {
 public:
  void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const override {
    const Reader reader(text);
    for (size_t i = 0; i < text.size();) {
      const size_t end = End(reader, i);
      if (end > i) matches->push_back({.begin = i, .end = end});
      i = end > i ? end : i + reader.At(i).bytes;
    }
  }
};

// \s+$ : in a row of whitespace, up to the end of the text or else its last "\n".
class LineEndSplitter final : public Splitter {
 public:
  void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const override {
    const Reader r(text);
    for (size_t i = 0; i < text.size();) {
      const size_t begin = r.SkipNot(i, kSpace);
      const size_t end = r.Skip(begin, kSpace);
      size_t stop = end;
      if (end < text.size()) {
        stop = begin;
        for (size_t k = begin + 1; k < end; ++k) {
          if (text[k] == '\n') stop = k;
        }
      }
      if (stop > begin) matches->push_back({.begin = begin, .end = stop});
      i = end;
    }
  }
};

// A set of characters: sorted ranges and general categories.
class CharSet {
 public:
  void AddRange(char32_t low, char32_t high) { ranges_.push_back({low, high}); }
  void AddClasses(uint32_t classes) { classes_ |= classes; }

  // REQUIRES: called once, after the last Add.
  void Seal() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.low < b.low; });
    std::vector<Range> merged;
    for (const Range& range : ranges_) {
      if (!merged.empty() && range.low <= merged.back().high) {
        merged.back().high = std::max(merged.back().high, range.high);
      } else {
        merged.push_back(range);
      }
    }
    ranges_ = std::move(merged);
    for (char32_t code = 0; code < ascii_.size(); ++code) ascii_[code] = Search(code);
  }

  bool Has(char32_t code) const { return code < ascii_.size() ? ascii_[code] : Search(code); }

 private:
  struct Range {
    char32_t low;
    char32_t high;
  };

  bool Search(char32_t code) const {
    if (classes_ != 0 && IsClass(code, classes_)) return true;
    const auto after =
        std::upper_bound(ranges_.begin(), ranges_.end(), code,
                         [](char32_t value, const Range& range) { return value < range.low; });
    return after != ranges_.begin() && code <= std::prev(after)->high;
  }

  std::vector<Range> ranges_;
  uint32_t classes_ = 0;
  std::array<bool, 128> ascii_{};
};

// \s?X{1,most} for a set X, with or without the \s?.
class SetSplitter final : public Splitter {
 public:
  SetSplitter(CharSet set, bool space_first, size_t most)
      : set_(std::move(set)), space_first_(space_first), most_(most) {}

  void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const override {
    const Reader r(text);
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = r.At(i);
      size_t begin = i;
      if (space_first_ && IsClass(c.code, kSpace) && Has(r, i + c.bytes)) begin = i + c.bytes;
      size_t end = begin;
      for (size_t count = 0; count < most_ && Has(r, end); ++count) end += r.At(end).bytes;
      if (end > begin) {
        matches->push_back({.begin = i, .end = end});
        i = end;
      } else {
        i += c.bytes;
      }
    }
  }

 private:
  bool Has(const Reader& r, size_t i) const {
    if (r.AtEnd(i)) return false;
    const Utf8Char c = r.At(i);
    return set_.Has(c.code);
  }

  CharSet set_;
  bool space_first_;
  size_t most_;
};

// Reads the patterns that SetSplitter can run: \s? then \p{..} or [..] then nothing, + or {1,3}.
class SetPatternParser {
 public:
  explicit SetPatternParser(std::string_view pattern) : rest_(pattern) {}

  std::unique_ptr<Splitter> Parse() {
    const bool space_first = Take(R"(\s?)");
    CharSet set;
    if (!ParseSet(&set)) return nullptr;
    size_t most = 1;
    if (Take("+")) {
      most = static_cast<size_t>(-1);
    } else if (Take("{1,3}")) {
      most = 3;
    }
    if (!rest_.empty()) return nullptr;
    set.Seal();
    return std::make_unique<SetSplitter>(std::move(set), space_first, most);
  }

 private:
  bool Take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  bool TakeCategory(CharSet* set) {
    static constexpr std::array<std::pair<std::string_view, uint32_t>, 4> kCategories{{
        {R"(\p{L})", kLetter},
        {R"(\p{N})", kNumber},
        {R"(\p{P})", kPunctuation},
        {R"(\p{M})", kMark},
    }};
    for (const auto& [name, classes] : kCategories) {
      if (Take(name)) {
        set->AddClasses(classes);
        return true;
      }
    }
    return false;
  }

  bool ParseSet(CharSet* set) {
    if (TakeCategory(set)) return true;
    if (!Take("[") || rest_.starts_with("^")) return false;
    bool any = false;
    while (!rest_.empty() && rest_.front() != ']') {
      any = true;
      if (TakeCategory(set)) continue;
      const std::optional<char32_t> low = TakeChar();
      if (!low) return false;
      char32_t high = *low;
      if (rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']') {
        rest_.remove_prefix(1);
        const std::optional<char32_t> last = TakeChar();
        if (!last || *last < *low) return false;
        high = *last;
      }
      set->AddRange(*low, high);
    }
    return any && Take("]");
  }

  std::optional<char32_t> TakeChar() {
    if (rest_.empty() || rest_.starts_with("&&")) return std::nullopt;
    if (Take(R"(\r)")) return '\r';
    if (Take(R"(\n)")) return '\n';
    if (Take(R"(\t)")) return '\t';
    const bool escaped = Take("\\");
    if (rest_.empty()) return std::nullopt;
    const Utf8Char c = DecodeUtf8(rest_, 0);
    // An escaped letter or digit is a class or a code: not read here. Nor is a set within a set.
    if (!c.valid || (escaped && IsClass(c.code, kLetter | kNumber))) return std::nullopt;
    if (!escaped && c.code == '[') return std::nullopt;
    rest_.remove_prefix(c.bytes);
    return c.code;
  }

  std::string_view rest_;
};

}  // namespace

std::unique_ptr<Splitter> MakeLinearSplitter(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return std::make_unique<CoveringSplitter<Gpt2End>>();
  // "[\r\n]" after "\s*" ends where "[\r\n]+" does: the last spellings say what the first say.
  if (pattern == kQwen2Pattern || pattern == kBailingPattern) {
    return std::make_unique<CoveringSplitter<Qwen2End<1, kLetter>>>();
  }
  if (pattern == kLlama3Pattern || pattern == kCl100kPattern) {
    return std::make_unique<CoveringSplitter<Qwen2End<3, kLetter>>>();
  }
  if (pattern == kQwen35Pattern) {
    return std::make_unique<CoveringSplitter<Qwen2End<1, kLetter | kMark>>>();
  }
  if (pattern == kSeedCoderPattern) {
    return std::make_unique<CoveringSplitter<Qwen2End<1, kLetter, AfterSymbols::kNothing>>>();
  }
  if (pattern == kGpt4oPattern) return std::make_unique<CoveringSplitter<Gpt4oEnd>>();
  if (pattern == kTekkenPattern) return std::make_unique<CoveringSplitter<TekkenEnd>>();
  if (pattern == kDeepseekV3Pattern) return std::make_unique<PartialSplitter<DeepseekV3End>>();
  if (pattern == kLineEndPattern) return std::make_unique<LineEndSplitter>();
  return SetPatternParser(pattern).Parse();
}

}  // namespace sluice
