// Splitter: finds the matches of one split pattern in a stretch of text.
//
// The patterns of the model families that sluice runs are recognised by their spelling and have
// hand-written matchers that take time linear in the text whatever the text is; any other pattern
// runs in PCRE2 under limits. Both treat a byte that is not UTF-8 as one character of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"

namespace sluice {

// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

class Splitter {
 public:
  virtual ~Splitter() = default;

  // Appends the non-empty matches in `text`, in order, not overlapping.
  virtual void FindMatches(std::string_view text, std::vector<TextSpan>* matches) const = 0;

  // Whether the pattern could match where nothing is: such matches are not found.
  virtual bool may_match_nothing() const { return false; }
};

// The splitter for `pattern`: hand-written if there is one.
Result<std::unique_ptr<Splitter>> MakeSplitter(const std::string& pattern);

// The hand-written splitter, or nullptr where there is none.
std::unique_ptr<Splitter> MakeLinearSplitter(std::string_view pattern);

// `pattern` in PCRE2, in the dialect of tokenizer.json: Unicode classes, and "$" matches at the end
// of every line. Patterns whose meaning there PCRE2 does not share are refused (set operations and
// nested sets in brackets, \h). Where a match would exceed the limits on work, the rest of the text
// counts as unmatched. The limits are for each place of a text where a match may begin: patterns
// that look far from everywhere ("a.*[bc]") take time with the square of the text.
Result<std::unique_ptr<Splitter>> MakePcre2Splitter(const std::string& pattern);

// The patterns with hand-written matchers of their own.
extern const std::string_view kGpt2Pattern;
extern const std::string_view kQwen2Pattern;       // single digits
extern const std::string_view kQwen35Pattern;      // the same, marks are letters
extern const std::string_view kLlama3Pattern;      // digits in threes; also DBRX and GLM-4
extern const std::string_view kGpt4oPattern;       // words split where lower case turns upper
extern const std::string_view kTekkenPattern;      // the same, no contractions, single digits
extern const std::string_view kDeepseekV3Pattern;  // the last of its three steps
extern const std::string_view kBailingPattern;     // as Qwen2, in other words
extern const std::string_view kCl100kPattern;      // as Llama 3, in other words
extern const std::string_view kSeedCoderPattern;   // as Qwen2, line breaks by themselves
extern const std::string_view kBloomPattern;       // up to whitespace and some punctuation
extern const std::string_view kLineEndPattern;     // "\s+$"

}  // namespace sluice
