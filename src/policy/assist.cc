// Both questions have one answer in cursor.h: the slot of the word, which says what list it is
// from.
#include "policy/assist.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "policy/cursor.h"
#include "policy/lexer.h"
#include "policy/parser.h"

namespace sluice {
namespace {

using Kind = Completion::Kind;

// The words of the file and the one at a place.
struct WordAt {
  Words words;
  size_t index = 0;  // of the word, or of what could be written before it
  bool found = false;
  bool closed = false;  // inside a comment, a string or a number
};

// A word counts up to and with its end: there the cursor is while it is typed.
WordAt FindWord(std::string_view source, size_t offset) {
  Diagnostics ignored("", {});
  WordAt at{.words = ReadWords(source, &ignored)};
  for (const Comment& comment : at.words.comments) {
    // Blanks behind a comment belong to it.
    const size_t line_end = std::min(source.find('\n', comment.place.offset), source.size());
    if (offset > comment.place.offset && offset <= line_end) at.closed = true;
  }
  const std::vector<Lexeme>& tokens = at.words.tokens;
  while (at.index + 1 < tokens.size() && tokens[at.index].place.end() < offset) ++at.index;
  // Of two that touch at the offset the name is meant.
  const auto touches = [&](size_t i) {
    return i + 1 < tokens.size() && tokens[i].place.offset <= offset &&
           tokens[i].place.end() >= offset;
  };
  if (!touches(at.index)) return at;
  if (tokens[at.index].kind != LexemeKind::kName && touches(at.index + 1)) ++at.index;
  const Lexeme& token = tokens[at.index];
  if (token.kind == LexemeKind::kName) {
    at.found = true;
  } else if (token.place.offset < offset) {
    const bool inside = token.place.end() > offset;
    at.closed = at.closed || token.kind == LexemeKind::kNumber ||
                (token.kind == LexemeKind::kString && inside);
    ++at.index;
  }
  return at;
}

int32_t LineOf(std::string_view source, size_t offset) {
  const std::string_view before = source.substr(0, offset);
  return static_cast<int32_t>(std::ranges::count(before, '\n')) + 1;
}

std::string Qualified(const Parameter& parameter) {
  return fmt::format("{}.{}", BlockName(parameter.block), parameter.name);
}

std::string_view UnitOf(const MetricName& metric) {
  switch (metric.unit) {
    case Unit::kShare:
      return "share or %";
    case Unit::kMilliseconds:
      return "ms";
    case Unit::kBytes:
      return "bytes";
    default:
      return "number";
  }
}

std::string ParameterText(const Parameter& parameter) {
  std::string text =
      fmt::format("`{}`: {}\n\n{}\n\n", Qualified(parameter), TypeText(parameter), parameter.help);
  const std::string plain = DefaultText(parameter);
  if (plain == "required") {
    text += "Has to be given.";
  } else if (plain == "-") {
    text += "Without default.";
  } else {
    text += fmt::format("Default: {}.", plain);
  }
  if (parameter.change) text += " Rules of adapt may set it.";
  return text;
}

std::string MetricText(const MetricName& metric) {
  return fmt::format("`{}`: {}\n\n{}", metric.name, UnitOf(metric), metric.help);
}

// ---- completion

class Completer {
 public:
  explicit Completer(std::vector<Completion>* all) : all_(all) {}

  void Complete(const Cursor& cursor) {
    switch (cursor.slot) {
      case Slot::kTop:
        return AddKeywords({KeywordRole::kFile});
      case Slot::kExtends:
        return AddKeywords({KeywordRole::kExtends});
      case Slot::kBlock:
        return AddKeywords({KeywordRole::kBlock});
      case Slot::kPhase:
        return AddKeywords({KeywordRole::kPhase});
      case Slot::kTier:
        return AddNames(Kind::kValue, TierNames(), "tier");
      case Slot::kParameter:
        return AddParameters(*cursor.block);
      case Slot::kValue:
        if (cursor.parameter != nullptr) AddValues(*cursor.parameter, cursor);
        return;
      case Slot::kWhen:
        return AddKeywords({KeywordRole::kWhen});
      case Slot::kMetric:
        return AddMetrics();
      case Slot::kAfterCondition:
        AddKeywords({KeywordRole::kJoin});
        if (!cursor.block) return AddKeywords({KeywordRole::kSpan});
        return AddParameters(*cursor.block);
      case Slot::kSpanUnit:
        return AddSpanUnits();
      case Slot::kAction:
        for (const Parameter& parameter : Parameters()) {
          if (parameter.change) AddParameter(parameter, Qualified(parameter));
        }
        return AddKeywords({KeywordRole::kAction});
      case Slot::kActionPath:
        return AddPath(cursor);
      case Slot::kTarget:
        return AddTargets(cursor.verb);
      case Slot::kBase:
      case Slot::kNothing:
        return;
    }
  }

 private:
  void AddKeywords(std::initializer_list<KeywordRole> roles) {
    for (const Keyword& keyword : Keywords()) {
      if (std::ranges::find(roles, keyword.role) == roles.end()) continue;
      const bool block = keyword.role == KeywordRole::kBlock;
      all_->push_back({.kind = block ? Kind::kBlock : Kind::kKeyword,
                       .text = std::string(keyword.name),
                       .detail = block ? "block" : "",
                       .help = std::string(keyword.help)});
    }
  }
  template <typename Names>
  void AddNames(Kind kind, const Names& names, std::string_view detail) {
    for (const std::string_view name : names) {
      all_->push_back({.kind = kind, .text = std::string(name), .detail = std::string(detail)});
    }
  }
  void AddParameter(const Parameter& parameter, std::string text) {
    all_->push_back({.kind = Kind::kParameter,
                     .text = std::move(text),
                     .detail = TypeText(parameter),
                     .help = std::string(parameter.help)});
  }
  void AddParameters(BlockKind block) {
    for (const Parameter& parameter : Parameters()) {
      if (parameter.block == block) AddParameter(parameter, std::string(parameter.name));
    }
  }
  void AddMetrics() {
    for (const MetricName& metric : Metrics()) {
      all_->push_back({.kind = Kind::kMetric,
                       .text = std::string(metric.name),
                       .detail = std::string(UnitOf(metric)),
                       .help = std::string(metric.help)});
    }
  }
  void AddSpanUnits() {
    for (const SpanUnit unit : {SpanUnit::kAccesses, SpanUnit::kTokens, SpanUnit::kSteps,
                                SpanUnit::kMilliseconds, SpanUnit::kSeconds}) {
      all_->push_back({.kind = Kind::kUnit, .text = std::string(SpanUnitName(unit))});
    }
  }

  void AddValues(const Parameter& parameter, const Cursor& cursor) {
    const std::string detail = Qualified(parameter);
    const auto add = [&](std::string_view name) {
      all_->push_back({.kind = Kind::kValue, .text = std::string(name), .detail = detail});
    };
    // `none` stands alone.
    const auto add_all = [&](const std::vector<std::string_view>& names) {
      for (const std::string_view name : names) {
        if (name != "none" || cursor.join == '\0') add(name);
      }
    };
    switch (parameter.type.kind) {
      case ValueType::Kind::kCapacity:
        if (!cursor.in_rule) add("auto");  // rules set slots
        return;
      case ValueType::Kind::kEviction:
        if (cursor.join != '+') add_all(EvictionNames());
        return;
      case ValueType::Kind::kStrategies:
        if (cursor.join != '|') add_all(StrategyNames());
        return;
      case ValueType::Kind::kBudget:
        if (!cursor.in_rule) add("idle");  // rules set a number
        return;
      case ValueType::Kind::kMetricList:
        if (cursor.join == '[') AddMetrics();
        return;
      case ValueType::Kind::kBool:
        add("true");
        return add("false");
      case ValueType::Kind::kWord:
      case ValueType::Kind::kWhole:
      case ValueType::Kind::kReal: {
        const auto& words = parameter.type.words;
        for (auto word = words.begin(); word != words.end(); ++word) {
          // Later words for a number are names of old files.
          const auto first = std::ranges::find(words, word->number, &NamedNumber::number);
          if (first == word) add(word->name);
        }
        return;
      }
      case ValueType::Kind::kPins:
      case ValueType::Kind::kSpan:
      case ValueType::Kind::kText:
        return;
    }
  }

  void AddPath(const Cursor& cursor) {
    if (!cursor.block) return;
    for (const Parameter& parameter : Parameters()) {
      if (parameter.block == *cursor.block && parameter.change) {
        AddParameter(parameter, std::string(parameter.name));
      }
    }
    if (HasPhases(*cursor.block) && !cursor.has_phase) AddKeywords({KeywordRole::kPhase});
  }

  void AddTargets(std::string_view verb) {
    if (verb == "trigger") return AddKeywords({KeywordRole::kTriggered});
    if (verb == "reset") return AddKeywords({KeywordRole::kReset});
    AddValues(*FindParameter(BlockKind::kPerLayer, "allocation"), {});
  }

  std::vector<Completion>* all_;
};

// ---- hover

const Keyword* FindKeyword(std::string_view name, std::initializer_list<KeywordRole> roles) {
  for (const Keyword& keyword : Keywords()) {
    if (keyword.name == name && std::ranges::find(roles, keyword.role) != roles.end()) {
      return &keyword;
    }
  }
  return nullptr;
}

std::string KeywordText(const Keyword* keyword) {
  if (keyword == nullptr) return {};
  const bool block = keyword->role == KeywordRole::kBlock;
  return fmt::format("`{}`{}\n\n{}", keyword->name, block ? ": block" : "", keyword->help);
}

std::string MetricTextOf(std::string_view name) {
  const auto metric = std::ranges::find(Metrics(), name, &MetricName::name);
  return metric == Metrics().end() ? std::string() : MetricText(*metric);
}

std::string ParameterTextOf(const Parameter* parameter) {
  return parameter == nullptr ? std::string() : ParameterText(*parameter);
}

std::string MeaningOf(const Cursor& cursor, std::string_view name) {
  switch (cursor.slot) {
    case Slot::kTop:
      return KeywordText(FindKeyword(name, {KeywordRole::kFile}));
    case Slot::kExtends:
      return KeywordText(FindKeyword(name, {KeywordRole::kExtends}));
    case Slot::kBlock:
      return KeywordText(FindKeyword(name, {KeywordRole::kBlock}));
    case Slot::kPhase:
      return KeywordText(FindKeyword(name, {KeywordRole::kPhase}));
    case Slot::kParameter:
      return ParameterTextOf(FindParameter(*cursor.block, name));
    case Slot::kValue:
      return cursor.join == '[' ? MetricTextOf(name) : ParameterTextOf(cursor.parameter);
    case Slot::kWhen:
      return KeywordText(FindKeyword(name, {KeywordRole::kWhen}));
    case Slot::kMetric:
      return MetricTextOf(name);
    case Slot::kAfterCondition: {
      const Keyword* keyword = FindKeyword(name, {KeywordRole::kJoin, KeywordRole::kSpan});
      if (keyword == nullptr && cursor.block) {
        return ParameterTextOf(FindParameter(*cursor.block, name));
      }
      return KeywordText(keyword);
    }
    case Slot::kAction: {
      const Keyword* keyword = FindKeyword(name, {KeywordRole::kAction, KeywordRole::kBlock});
      return keyword != nullptr ? KeywordText(keyword) : ParameterTextOf(FindShortTarget(name));
    }
    case Slot::kActionPath: {
      const Keyword* phase = FindKeyword(name, {KeywordRole::kPhase});
      if (phase != nullptr || !cursor.block) return KeywordText(phase);
      return ParameterTextOf(FindParameter(*cursor.block, name));
    }
    case Slot::kTarget:
      if (cursor.verb == "rebalance") {
        return ParameterTextOf(FindParameter(BlockKind::kPerLayer, "allocation"));
      }
      return KeywordText(FindKeyword(name, {KeywordRole::kTriggered, KeywordRole::kReset}));
    case Slot::kBase:
    case Slot::kTier:
    case Slot::kSpanUnit:
    case Slot::kNothing:
      return {};
  }
  return {};
}

// The policies that one after token `end` may extend.
void AddBases(const std::vector<Lexeme>& tokens, size_t end, std::vector<Completion>* all) {
  for (size_t i = 0; i + 2 < end; ++i) {
    const bool policy = tokens[i].text == "policy" && tokens[i].kind == LexemeKind::kName;
    if (!policy || tokens[i + 1].kind != LexemeKind::kName) continue;
    if (tokens[i + 2].kind != LexemeKind::kOpenBrace && tokens[i + 2].text != "extends") continue;
    // The last one is the one that wants a base.
    if (i + 3 < end)
      all->push_back({.kind = Kind::kPolicy, .text = std::string(tokens[i + 1].text)});
  }
}

}  // namespace

const std::vector<Keyword>& Keywords() {
  static const std::vector<Keyword> keywords = {
#define SLUICE_KEYWORD(role, name, help) {KeywordRole::role, #name, help},
#include "policy/keywords.inc"
#undef SLUICE_KEYWORD
  };
  return keywords;
}

Completions CompleteAt(std::string_view source, size_t offset) {
  Completions completions;
  completions.replaced.offset = static_cast<uint32_t>(offset);
  if (source.size() > kMostPolicyBytes || offset > source.size()) return completions;
  WordAt at = FindWord(source, offset);
  if (at.closed) return completions;
  const std::vector<Lexeme>& tokens = at.words.tokens;
  // Before a word something new is written.
  if (at.found && tokens[at.index].place.offset == offset) at.found = false;
  // What touches a number is its unit.
  const bool unit = at.found && at.index > 0 && tokens[at.index - 1].kind == LexemeKind::kNumber &&
                    tokens[at.index - 1].place.end() == tokens[at.index].place.offset;
  if (at.found) completions.replaced = tokens[at.index].place;
  const int32_t line = at.found ? completions.replaced.line : LineOf(source, offset);
  const Cursor cursor = CursorAt(tokens, at.index, at.found, line);
  if (unit && cursor.slot != Slot::kSpanUnit) return completions;
  if (cursor.slot == Slot::kBase) AddBases(tokens, at.index, &completions.all);
  Completer(&completions.all).Complete(cursor);
  return completions;
}

std::optional<Explanation> ExplainAt(std::string_view source, size_t offset) {
  if (source.size() > kMostPolicyBytes || offset > source.size()) return std::nullopt;
  const WordAt at = FindWord(source, offset);
  if (at.closed || !at.found) return std::nullopt;
  const Lexeme& token = at.words.tokens[at.index];
  const Cursor cursor = CursorAt(at.words.tokens, at.index, true, token.place.line);
  std::string text = MeaningOf(cursor, token.text);
  if (text.empty()) return std::nullopt;
  return Explanation{.place = token.place, .text = std::move(text)};
}

}  // namespace sluice
