// What an editor asks about a place of a policy file: what may be written there, and what is this.
// Works on files that are being typed, whatever is wrong with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/diagnostics.h"

namespace sluice {

// The words of the grammar, from keywords.inc.
enum class KeywordRole {
  kFile,
  kExtends,
  kBlock,
  kPhase,
  kWhen,
  kJoin,
  kSpan,
  kAction,
  kTriggered,
  kReset
};
struct Keyword {
  KeywordRole role = KeywordRole::kFile;
  std::string_view name;
  std::string_view help;
};
const std::vector<Keyword>& Keywords();

struct Completion {
  enum class Kind { kKeyword, kBlock, kParameter, kValue, kMetric, kUnit, kPolicy };
  Kind kind = Kind::kKeyword;
  std::string text;
  std::string detail;  // its type, in a few words; may be empty
  std::string help;    // a sentence; may be empty
};

struct Completions {
  Place replaced;  // the word at the cursor; empty where there is none
  std::vector<Completion> all;
};

// Everything that may stand at byte `offset`, whatever was typed of it already. Nothing where only
// numbers, strings or new names fit, and in comments.
Completions CompleteAt(std::string_view source, size_t offset);

struct Explanation {
  Place place;
  std::string text;  // Markdown
};

// What the word at byte `offset` means; nullopt where there is nothing to say.
std::optional<Explanation> ExplainAt(std::string_view source, size_t offset);

}  // namespace sluice
