// Where in the grammar a word of a policy file stands, however unfinished the file is around it:
// what an editor has to know while somebody types.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "policy/lexer.h"
#include "policy/parameters.h"

namespace sluice {

// What the grammar allows there.
enum class Slot {
  kNothing,         // a new name, a number, punctuation
  kTop,             // version, policy
  kExtends,         // extends
  kBase,            // the policy that is extended
  kBlock,           // a block of a policy
  kPhase,           // decode, prefill
  kTier,            // vram, ram, disk
  kParameter,       // a parameter of `block`
  kValue,           // a value of `parameter`
  kWhen,            // when
  kMetric,          // a metric
  kAfterCondition,  // and, or, for, cooldown; behind a guard and, or, the next parameter
  kSpanUnit,        // accesses, steps, ...
  kAction,          // an action of a rule
  kActionPath,      // what follows "block." or "block.phase."
  kTarget,          // what to trigger, rebalance or reset
};

struct Cursor {
  Slot slot = Slot::kNothing;
  std::optional<BlockKind> block;        // that the word is in; in a rule: that its path names
  const Parameter* parameter = nullptr;  // kValue, kSpanUnit
  std::string_view verb;                 // kTarget
  char join = '\0';                      // kValue: '|' or '+' before it, '[' inside a list
  bool in_rule = false;                  // kValue: of an action
  bool has_phase = false;                // kActionPath: the phase was written
};

// The parameter that a rule sets by this name alone, or nullptr.
const Parameter* FindShortTarget(std::string_view name);

// The place of token `index`, or of what could be written before it. `word`: whether that token is
// the one in question; else something new is written there, on line `line`.
Cursor CursorAt(const std::vector<Lexeme>& tokens, size_t index, bool word, int32_t line);

}  // namespace sluice
