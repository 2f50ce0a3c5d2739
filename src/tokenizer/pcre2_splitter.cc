// Patterns that nobody wrote a matcher for. PCRE2 backtracks, so a pattern from a file may take
// exponential time: its limits on matching, heap and depth bound that.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

constexpr size_t kMaxPatternBytes = size_t{1} << 16;
constexpr uint32_t kMatchLimit = 1'000'000;  // a second or so at the very worst
constexpr uint32_t kDepthLimit = 100'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr uint32_t kParenthesesLimit = 100;
constexpr uint32_t kCompileOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

std::string Pcre2Message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

// Text as PCRE2 must have it: U+FFFD in the place of each byte that is not UTF-8.
class ValidText {
 public:
  explicit ValidText(std::string_view text) : text_(text) {
    size_t copied = 0;
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = DecodeUtf8(text, i);
      if (!c.valid) {
        repaired_.append(text.substr(copied, i - copied));
        AppendUtf8(c.code, &repaired_);
        replaced_ends_.push_back(repaired_.size());
        copied = i + 1;
      }
      i += c.bytes;
    }
    if (!replaced_ends_.empty()) {
      repaired_.append(text.substr(copied));
      text_ = repaired_;
    }
  }

  std::string_view text() const { return text_; }

  // Where the byte at `position` of text() is in the original. A replacement is three bytes for
  // one.
  size_t Original(size_t position) const {
    const auto replaced = std::upper_bound(replaced_ends_.begin(), replaced_ends_.end(), position) -
                          replaced_ends_.begin();
    return position - 2 * static_cast<size_t>(replaced);
  }

 private:
  std::string_view text_;
  std::string repaired_;
  std::vector<size_t> replaced_ends_;
};

class Pcre2Splitter final : public Splitter {
 public:
  Pcre2Splitter(std::unique_ptr<pcre2_code, FreeCode> code,
                std::unique_ptr<pcre2_match_context, FreeMatchContext> limits)
      : code_(std::move(code)), limits_(std::move(limits)) {}

  void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const override {
    const ValidText valid(text);
    const std::string_view subject = valid.text();
    const std::unique_ptr<pcre2_match_data, FreeMatch> match(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    if (match == nullptr) return;
    size_t from = 0;
    while (from < subject.size()) {
      const int found =
          pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(),
                      from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), limits_.get());
      if (found < 0) return;
      const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
      // A look-behind with \K can end a match before its start: such a pattern matches nothing.
      if (span[1] <= span[0] || span[0] < from) return;
      matches->push_back({.begin = valid.Original(span[0]), .end = valid.Original(span[1])});
      from = span[1];
    }
  }

  bool may_match_nothing() const override {
    uint32_t may = 0;
    return pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &may) != 0 || may != 0;
  }

 private:
  std::unique_ptr<pcre2_code, FreeCode> code_;
  std::unique_ptr<pcre2_match_context, FreeMatchContext> limits_;
};

// Whether PCRE2 gives the escape at the start of `rest` another meaning, or one that would let a
// match end before its start.
bool IsForeignEscape(std::string_view rest) {
  return rest.size() > 1 && std::string_view("hHKCQ").find(rest[1]) != std::string_view::npos;
}

// Finds the end of the bracketed set whose "[" is at `begin`. Returns what in it PCRE2 reads
// differently from the dialect of tokenizer.json, or nullptr.
const char* ForeignSet(std::string_view pattern, size_t begin, size_t* end) {
  size_t i = begin + (pattern.substr(begin).starts_with("[^") ? 2 : 1);
  const size_t first = i;
  for (; i < pattern.size(); ++i) {
    const std::string_view rest = pattern.substr(i);
    if (rest.front() == '\\') {
      if (IsForeignEscape(rest)) return "one of \\h \\H \\K \\C \\Q";
      ++i;
    } else if (rest.starts_with("&&")) {
      return "an intersection of sets";
    } else if (rest.starts_with("[:") && rest.find(":]") != std::string_view::npos) {
      i += rest.find(":]") + 1;
    } else if (rest.front() == '[') {
      return "a set within a set";
    } else if (rest.front() == ']' && i > first) {
      break;
    }
  }
  *end = i;
  return nullptr;
}

// What in `pattern` PCRE2 reads differently from the dialect of tokenizer.json, or nullptr.
const char* ForeignSyntax(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      if (IsForeignEscape(pattern.substr(i))) return "one of \\h \\H \\K \\C \\Q";
      ++i;
    } else if (pattern[i] == '[') {
      if (const char* foreign = ForeignSet(pattern, i, &i); foreign != nullptr) return foreign;
    }
  }
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Splitter>> MakePcre2Splitter(const std::string& pattern) {
  const std::string name = "split pattern " + QuoteForMessage(pattern);
  if (pattern.empty() || pattern.size() > kMaxPatternBytes) {
    return UnsupportedError(fmt::format("{}: {} bytes; 1 to {} can be compiled", name,
                                        pattern.size(), kMaxPatternBytes));
  }
  if (const char* foreign = ForeignSyntax(pattern); foreign != nullptr) {
    return UnsupportedError(fmt::format("{}: {} is not supported", name, foreign));
  }
  const std::unique_ptr<pcre2_compile_context, FreeCompileContext> dialect(
      pcre2_compile_context_create(nullptr));
  std::unique_ptr<pcre2_match_context, FreeMatchContext> limits(
      pcre2_match_context_create(nullptr));
  if (dialect == nullptr || limits == nullptr) return ResourceExhaustedError(name);
  pcre2_set_newline(dialect.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(dialect.get(), kParenthesesLimit);
  pcre2_set_match_limit(limits.get(), kMatchLimit);
  pcre2_set_depth_limit(limits.get(), kDepthLimit);
  pcre2_set_heap_limit(limits.get(), kHeapLimitKib);

  int error = 0;
  PCRE2_SIZE where = 0;
  std::unique_ptr<pcre2_code, FreeCode> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kCompileOptions,
                    &error, &where, dialect.get()));
  if (code == nullptr) {
    return UnsupportedError(fmt::format("{}: {} at byte {}", name, Pcre2Message(error), where));
  }
  return std::unique_ptr<Splitter>(
      std::make_unique<Pcre2Splitter>(std::move(code), std::move(limits)));
}

Result<std::unique_ptr<Splitter>> MakeSplitter(const std::string& pattern) {
  if (std::unique_ptr<Splitter> linear = MakeLinearSplitter(pattern); linear != nullptr) {
    return linear;
  }
  return MakePcre2Splitter(pattern);
}

}  // namespace sluice
