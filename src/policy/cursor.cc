// Not the parser: that one wants to understand whole files and skips what it cannot read, but the
// entry that is being typed is nearly always one of those. Here braces say which body a word is in,
// and the words since the last entry began say what may follow.
#include "policy/cursor.h"

#include <algorithm>
#include <array>
#include <span>

namespace sluice {
namespace {

using Kind = LexemeKind;
using Tokens = std::span<const Lexeme>;

bool IsWord(const Lexeme& token, std::string_view text) {
  return token.kind == Kind::kName && token.text == text;
}
bool IsVerb(const Lexeme& token) {
  return IsWord(token, "trigger") || IsWord(token, "rebalance") || IsWord(token, "reset") ||
         IsWord(token, "log");
}
bool IsBlock(const Lexeme& token) {
  return token.kind == Kind::kName && (token.text == "adapt" || FindBlock(token.text));
}
bool IsPhase(const Lexeme& token) { return IsWord(token, "decode") || IsWord(token, "prefill"); }

struct Scope {
  enum class Kind { kFile, kPolicy, kBlock, kAdapt, kActions, kUnknown };
  Kind kind = Kind::kFile;
  std::optional<BlockKind> block;
};

class Finder {
 public:
  explicit Finder(const std::vector<Lexeme>& tokens) : tokens_(tokens) {}

  Cursor Find(size_t index, bool word, int32_t line) {
    for (size_t i = 0; i < index; ++i) Read(i);
    if (word && BeginsEntry(index)) begin_ = index;
    entry_ = Tokens(tokens_).subspan(begin_, index - begin_);
    new_line_ = !entry_.empty() && entry_.back().place.line < line;
    switch (scopes_.back().kind) {
      case Scope::Kind::kFile:
        return InFile();
      case Scope::Kind::kPolicy:
        return InPolicy();
      case Scope::Kind::kBlock:
        return InBlock();
      case Scope::Kind::kAdapt:
        if (entry_.empty()) return {.slot = Slot::kWhen};
        return IsWord(entry_[0], "when") ? InCondition(entry_.subspan(1)) : Cursor{};
      case Scope::Kind::kActions:
        return InActions();
      case Scope::Kind::kUnknown:
        return {};
    }
    return {};
  }

 private:
  // ---- which body, and where its last entry begins

  void Read(size_t i) {
    const Lexeme& token = tokens_[i];
    if (token.kind == Kind::kOpenBrace) {
      Open(i);
      begin_ = i + 1;
    } else if (token.kind == Kind::kCloseBrace) {
      if (scopes_.size() > 1) scopes_.pop_back();
      begin_ = i + 1;
    } else if (BeginsEntry(i)) {
      begin_ = i;
    }
  }

  const Lexeme& Next(size_t i, size_t ahead) const {
    return tokens_[std::min(i + ahead, tokens_.size() - 1)];
  }

  // Whether a new entry begins although the one before it may be unfinished.
  bool BeginsEntry(size_t i) {
    const Lexeme& token = tokens_[i];
    if (token.kind != Kind::kName) return false;
    const Lexeme& next = Next(i, 1);
    const Lexeme& after_next = Next(i, 2);
    // Braces are missing before a policy that begins inside another one.
    if (token.text == "policy" && next.kind == Kind::kName &&
        (after_next.kind == Kind::kOpenBrace || IsWord(after_next, "extends"))) {
      scopes_.assign(1, {});
      return true;
    }
    const Kind before = i > begin_ ? tokens_[i - 1].kind : Kind::kEnd;
    switch (scopes_.back().kind) {
      case Scope::Kind::kBlock:
        return next.kind == Kind::kEquals;
      case Scope::Kind::kAdapt:
        return token.text == "when";
      case Scope::Kind::kActions:
        if (before == Kind::kDot || before == Kind::kEquals) return false;
        return IsVerb(token) || next.kind == Kind::kEquals || next.kind == Kind::kDot;
      default:
        return false;
    }
  }

  void Open(size_t brace) {
    const Scope::Kind outer = scopes_.back().kind;
    if (outer == Scope::Kind::kFile) return Push(Scope::Kind::kPolicy);
    if (outer == Scope::Kind::kAdapt) return Push(Scope::Kind::kActions);
    // "cache {" or "prefetch decode {"; inside another block, whose brace is missing then.
    for (const size_t back : {size_t{1}, size_t{2}}) {
      if (brace < begin_ + back) break;
      const Lexeme& name = tokens_[brace - back];
      if (name.kind != Kind::kName) break;
      if (!IsBlock(name)) continue;
      if (outer != Scope::Kind::kPolicy) scopes_.pop_back();
      const std::optional<BlockKind> block = FindBlock(name.text);
      return Push(block ? Scope::Kind::kBlock : Scope::Kind::kAdapt, block);
    }
    Push(Scope::Kind::kUnknown);
  }
  void Push(Scope::Kind kind, std::optional<BlockKind> block = {}) {
    scopes_.push_back({kind, block});
  }

  // ---- what may follow the words of the entry

  Cursor InFile() const {
    if (entry_.empty()) return {.slot = Slot::kTop};
    if (IsWord(entry_[0], "version") && entry_.size() == 2) return {.slot = Slot::kTop};
    if (IsWord(entry_.back(), "extends")) return {.slot = Slot::kBase};
    const size_t size = entry_.size();
    if (size >= 2 && IsWord(entry_[size - 2], "policy")) return {.slot = Slot::kExtends};
    return {};
  }

  Cursor InPolicy() const {
    if (entry_.empty()) return {.slot = Slot::kBlock};
    const std::optional<BlockKind> block = FindBlock(entry_.back().text);
    if (entry_.size() > 1 || !block) return {};
    if (*block == BlockKind::kTier) return {.slot = Slot::kTier};
    return {.slot = HasPhases(*block) ? Slot::kPhase : Slot::kNothing};
  }

  Cursor InBlock() const {
    const BlockKind block = *scopes_.back().block;
    const Cursor next{.slot = Slot::kParameter, .block = block};
    if (entry_.empty()) return next;
    if (entry_.size() == 1 || entry_[1].kind != Kind::kEquals) return new_line_ ? next : Cursor{};
    const Parameter* parameter = FindParameter(block, entry_[0].text);
    Tokens rest = entry_.subspan(2);
    bool list = false;
    for (size_t i = 0; i < rest.size(); ++i) {
      if (rest[i].kind == Kind::kOpenBracket) list = true;
      if (rest[i].kind == Kind::kCloseBracket) list = false;
      if (rest[i].kind != Kind::kColon || list) continue;
      rest = rest.subspan(i + 1);
      const auto when =
          std::ranges::find_if(rest, [](const Lexeme& t) { return t.text == "when"; });
      if (when != rest.end()) {
        Cursor cursor = InCondition(rest.subspan(static_cast<size_t>(when - rest.begin()) + 1));
        cursor.block = block;
        return cursor;
      }
      Cursor cursor = InValue(rest, parameter, {.slot = Slot::kWhen});
      cursor.in_rule = true;
      return cursor;
    }
    return InValue(rest, parameter, next);
  }

  // `next`: what may follow a whole value.
  Cursor InValue(Tokens value, const Parameter* parameter, const Cursor& next) const {
    Cursor cursor{.slot = Slot::kValue, .parameter = parameter};
    if (parameter != nullptr) cursor.block = parameter->block;
    if (value.empty()) return cursor;
    const Kind last = value.back().kind;
    if (value[0].kind == Kind::kOpenBracket && last != Kind::kCloseBracket) {
      cursor.join = '[';
      if (last != Kind::kOpenBracket && last != Kind::kComma) cursor.slot = Slot::kNothing;
      return cursor;
    }
    if (last == Kind::kPipe || last == Kind::kPlus) {
      cursor.join = last == Kind::kPipe ? '|' : '+';
      return cursor;
    }
    const bool wants_unit =
        parameter != nullptr && parameter->type.kind == ValueType::Kind::kSpan && !new_line_;
    if (wants_unit && last == Kind::kNumber) {
      cursor.slot = Slot::kSpanUnit;
      return cursor;
    }
    return next;
  }

  static Cursor InCondition(Tokens condition) {
    if (condition.empty()) return {.slot = Slot::kMetric};
    const Lexeme& last = condition.back();
    if (IsWord(last, "and") || IsWord(last, "or") || last.kind == Kind::kOpenParenthesis) {
      return {.slot = Slot::kMetric};
    }
    if (last.kind == Kind::kPercent || last.kind == Kind::kCloseParenthesis) {
      return {.slot = Slot::kAfterCondition};
    }
    if (condition.size() < 2) return {};
    const Lexeme& before = condition[condition.size() - 2];
    if (last.kind == Kind::kNumber) {
      const bool span = IsWord(before, "for") || IsWord(before, "cooldown");
      return {.slot = span ? Slot::kSpanUnit : Slot::kAfterCondition};
    }
    const bool unit = last.kind == Kind::kName && before.kind == Kind::kNumber;
    if (unit && !IsWord(last, "for") && !IsWord(last, "cooldown")) {
      return {.slot = Slot::kAfterCondition};
    }
    return {};
  }

  Cursor InActions() const {
    if (entry_.empty()) return {.slot = Slot::kAction};
    const bool assigns = std::ranges::any_of(
        entry_, [](const Lexeme& token) { return token.kind == Kind::kEquals; });
    if (IsVerb(entry_[0]) && !assigns) {
      if (entry_.size() > 1) return {.slot = Slot::kAction};
      if (IsWord(entry_[0], "log")) return {};
      return {.slot = Slot::kTarget, .verb = entry_[0].text};
    }
    std::vector<std::string_view> path;
    size_t at = 0;
    for (; at < entry_.size() && entry_[at].kind != Kind::kEquals; ++at) {
      if (entry_[at].kind == Kind::kName) path.push_back(entry_[at].text);
    }
    if (at < entry_.size()) {
      Cursor cursor = InValue(entry_.subspan(at + 1), FindTarget(path), {.slot = Slot::kAction});
      cursor.in_rule = true;
      return cursor;
    }
    if (entry_.back().kind == Kind::kDot) {
      return {.slot = Slot::kActionPath,
              .block = FindBlock(entry_[0].text),
              .has_phase = entry_.size() > 2 && IsPhase(entry_[2])};
    }
    return {.slot = new_line_ ? Slot::kAction : Slot::kNothing};
  }

  // What "cache.eviction" or "eviction" sets.
  static const Parameter* FindTarget(const std::vector<std::string_view>& path) {
    if (path.empty()) return nullptr;
    if (path.size() > 1) {
      const std::optional<BlockKind> block = FindBlock(path[0]);
      return block ? FindParameter(*block, path.back()) : nullptr;
    }
    return FindShortTarget(path[0]);
  }

  const std::vector<Lexeme>& tokens_;
  std::vector<Scope> scopes_ = {{}};
  size_t begin_ = 0;  // of the entry that is being read
  Tokens entry_;      // its words before the cursor
  bool new_line_ = false;
};

}  // namespace

const Parameter* FindShortTarget(std::string_view name) {
  const auto fits = [&](const Parameter& p) { return p.change && p.name == name; };
  const auto found = std::ranges::find_if(Parameters(), fits);
  return found == Parameters().end() ? nullptr : &*found;
}

Cursor CursorAt(const std::vector<Lexeme>& tokens, size_t index, bool word, int32_t line) {
  return Finder(tokens).Find(index, word, line);
}

}  // namespace sluice
