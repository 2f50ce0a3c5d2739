// A policy file as written: the tree that parser.h makes, that compile.h gives meaning and that
// format.h writes again. Nothing here has been checked beyond the grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/layer_call.h"
#include "policy/lexer.h"

namespace sluice {

struct Word {
  std::string text;
  Place place;
};

// 0.5, 6GiB, 40%, lru, true, "file.csv"
struct Scalar {
  enum class Kind { kNumber, kString, kName };
  Kind kind = Kind::kName;
  double number = 0;
  std::string text;  // as written; strings without their quotes
  std::string unit;  // "" or one of IsUnit(); "%"
  Place place;       // with the unit
};

// 7, 12..47, 24..*, *
struct Selector {
  int32_t first = 0;
  int32_t last = -1;  // -1: to the end
  friend bool operator==(const Selector&, const Selector&) = default;
};

// 3, 12..47:*, hit_rate, "name"
struct ListItem {
  enum class Kind { kSelector, kName, kString };
  Kind kind = Kind::kName;
  std::optional<Selector> layers;  // before the colon
  Selector experts;
  std::string text;
  Place place;
};

// Scalars joined by '|' or '+', or a list.
struct Value {
  bool is_list = false;
  std::vector<Scalar> scalars;
  char join = '\0';  // between all of them
  std::vector<ListItem> items;
  Place place;
};

// One comparison, or several joined by `and` or `or`.
struct ConditionNode {
  enum class Kind { kAtom, kAnd, kOr };
  Kind kind = Kind::kAtom;
  Word metric;
  Word comparison;
  Scalar number;
  std::vector<ConditionNode> children;
  Place place;
};

struct ParameterNode {
  Word name;
  Value value;
  struct Guard {  // `: value when condition`
    Value value;
    ConditionNode when;
  };
  std::optional<Guard> guard;
  Place place;
};

struct SpanNode {
  Scalar count;
  Word unit;
  Place place;
};

struct ActionNode {
  enum class Kind { kSet, kTrigger, kRebalance, kReset, kLog };
  Kind kind = Kind::kSet;
  std::vector<Word> path;  // kSet: cache.eviction; else the one word or text
  Value value;             // kSet
  Place place;
};

struct AdaptNode {
  ConditionNode when;
  std::optional<SpanNode> hold;
  std::optional<SpanNode> cooldown;
  std::vector<ActionNode> actions;
  Place open, close;  // the braces
  Place place;
};

struct BlockNode {
  Word kind;
  std::optional<Phase> phase;
  Word label;  // phase or tier as written; may be empty
  std::vector<ParameterNode> parameters;
  std::vector<AdaptNode> rules;  // of adapt
  Place open, close;
  Place place;
};

struct PolicyNode {
  Word name;
  std::optional<Word> extends;
  std::vector<BlockNode> blocks;
  Place open, close;
  Place place;
};

struct FileNode {
  std::optional<Scalar> version;
  Place version_place;
  std::vector<PolicyNode> policies;
  std::vector<Comment> comments;
};

// The units that may follow a number, besides %.
std::span<const std::string_view> UnitNames();
bool IsUnit(std::string_view word);

}  // namespace sluice
