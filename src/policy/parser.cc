// The grammar is in docs/policy-language.md; each rule there is a function here. Keywords are
// contextual: a word is one only where the grammar asks for it.
#include "policy/parser.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "policy/names.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 7> kBlockNames = {
    "cache", "prefetch", "schedule", "monitor", "per_layer", "tier", "adapt"};
constexpr std::array<std::string_view, 18> kUnits = {
    "us", "ms", "s",  "B", "KiB", "MiB", "GiB",      "TiB",   "KB",
    "MB", "GB", "TB", "K", "M",   "G",   "accesses", "steps", "tokens"};
constexpr std::array<std::string_view, 5> kSpanUnits = {"accesses", "steps", "tokens", "ms", "s"};

template <size_t N>
bool Contains(const std::array<std::string_view, N>& words, std::string_view word) {
  for (const std::string_view known : words) {
    if (known == word) return true;
  }
  return false;
}

class Parser {
 public:
  Parser(std::string_view source, Diagnostics* diagnostics)
      : diagnostics_(diagnostics), words_(ReadWords(source, diagnostics)) {}

  FileNode File() {
    FileNode file;
    file.comments = words_.comments;
    if (IsName("version") && Peek(1).kind == LexemeKind::kNumber) {
      file.version_place = Take().place;
      file.version = Number();
    }
    while (!Is(LexemeKind::kEnd) && !diagnostics_->full()) {
      if (IsName("policy")) {
        file.policies.push_back(Policy());
      } else {
        Unexpected("'policy NAME {'");
        while (!Is(LexemeKind::kEnd) && !(IsName("policy") && Peek(1).kind == LexemeKind::kName))
          Take();
      }
    }
    if (file.policies.empty() && diagnostics_->ok()) {
      diagnostics_->Add("E101", Peek().place, "no policy in the file",
                        "write: policy name { cache { capacity = auto } }");
    }
    return file;
  }

 private:
  // ---- words

  const Lexeme& Peek(size_t ahead = 0) const {
    const size_t index = at_ + ahead;
    return index < words_.tokens.size() ? words_.tokens[index] : words_.tokens.back();
  }
  bool Is(LexemeKind kind) const { return Peek().kind == kind; }
  bool IsName(std::string_view text) const { return Is(LexemeKind::kName) && Peek().text == text; }
  const Lexeme& Take() {
    const Lexeme& token = Peek();
    if (token.kind != LexemeKind::kEnd) {
      ++at_;
      last_ = token.place;
    }
    return token;
  }
  bool TakeIf(LexemeKind kind) {
    if (!Is(kind)) return false;
    Take();
    return true;
  }
  Word TakeWord() {
    const Lexeme& token = Take();
    return {.text = std::string(token.text), .place = token.place};
  }

  void Unexpected(std::string_view wanted) {
    const Lexeme& token = Peek();
    const std::string found =
        token.kind == LexemeKind::kEnd ? "the end of the file" : fmt::format("'{}'", token.text);
    diagnostics_->Add("E101", token.place, fmt::format("expected {}, found {}", wanted, found));
  }
  bool Expect(LexemeKind kind, std::string_view wanted) {
    if (TakeIf(kind)) return true;
    Unexpected(wanted);
    return false;
  }
  // A name, or an empty word and an error.
  Word Name(std::string_view wanted) {
    if (Is(LexemeKind::kName)) return TakeWord();
    Unexpected(wanted);
    return {.text = {}, .place = Peek().place};
  }

  // ---- recovery

  // After an error inside a body: to its end, or to what may begin the next entry.
  void SkipToNextEntry() {
    int depth = 0;
    while (!Is(LexemeKind::kEnd)) {
      if (depth == 0 && BeginsEntry()) return;
      if (Is(LexemeKind::kOpenBrace)) ++depth;
      if (Is(LexemeKind::kCloseBrace) && depth-- == 0) return;
      Take();
    }
  }
  bool BeginsEntry() const {
    if (!Is(LexemeKind::kName)) return false;
    const LexemeKind next = Peek(1).kind;
    const bool first_of_line = Peek().place.line > last_.line;
    if (first_of_line || next == LexemeKind::kEquals || Peek().text == "when") return true;
    return BeginsBlock();
  }
  bool BeginsBlock() const {
    if (!Is(LexemeKind::kName)) return false;
    const LexemeKind next = Peek(1).kind;
    return next == LexemeKind::kOpenBrace ||
           (next == LexemeKind::kName && Peek(2).kind == LexemeKind::kOpenBrace);
  }
  // "policy NAME {" or "policy NAME extends" inside a body: a brace is missing before it.
  bool BeginsPolicy() const {
    if (!IsName("policy") || Peek(1).kind != LexemeKind::kName) return false;
    return Peek(2).kind == LexemeKind::kOpenBrace ||
           (Peek(2).kind == LexemeKind::kName && Peek(2).text == "extends");
  }
  // `entry` reads at least one word, or reports and returns false.
  template <typename Entry>
  Place Body(Place* open, Entry entry) {
    *open = Peek().place;
    if (!Expect(LexemeKind::kOpenBrace, "'{'")) {
      SkipToNextEntry();
      return last_;
    }
    while (!Is(LexemeKind::kCloseBrace) && !diagnostics_->full()) {
      if (Is(LexemeKind::kEnd) || BeginsPolicy()) {
        diagnostics_->Add("E101", Peek().place,
                          fmt::format("the '{{' of line {} is not closed", open->line),
                          "write '}' where the block ends");
        return last_;
      }
      const size_t before = at_;
      if (entry()) continue;
      if (at_ == before) Take();
      SkipToNextEntry();
    }
    const Place close = Peek().place;
    TakeIf(LexemeKind::kCloseBrace);
    return close;
  }

  // ---- rules of the grammar

  PolicyNode Policy() {
    PolicyNode policy;
    policy.place = Take().place;  // policy
    policy.name = Name("the policy's name");
    if (IsName("extends")) {
      Take();
      policy.extends = Name("the name of the policy that this one extends");
    }
    policy.close = Body(&policy.open, [&] { return Block(&policy); });
    policy.place = Through(policy.place, last_);
    return policy;
  }

  bool Block(PolicyNode* policy) {
    BlockNode block;
    block.kind = Name("a block");
    block.place = block.kind.place;
    if (block.kind.text.empty()) return false;
    const bool known = Contains(kBlockNames, block.kind.text);
    if (!known) {
      diagnostics_->Add("E207", block.kind.place,
                        fmt::format("unknown block '{}'", block.kind.text),
                        SuggestName(block.kind.text, kBlockNames));
    }
    if (Is(LexemeKind::kName)) Label(&block, known);
    if (block.kind.text == "tier" && block.label.text.empty()) Unexpected("the tier's name");
    if (!known) {
      if (!Is(LexemeKind::kOpenBrace)) return false;
      SkipBraces();
      return true;
    }
    const bool adapt = block.kind.text == "adapt";
    block.close = Body(&block.open,
                       [&] { return adapt ? Rule(&block.rules) : Parameter(&block.parameters); });
    block.place = Through(block.place, last_);
    policy->blocks.push_back(std::move(block));
    return true;
  }

  // A phase, or the name of a tier.
  void Label(BlockNode* block, bool known) {
    block->label = TakeWord();
    if (!known || block->kind.text == "tier") return;
    const Word& label = block->label;
    if (label.text == "decode") block->phase = Phase::kDecode;
    if (label.text == "prefill") block->phase = Phase::kPrefill;
    constexpr std::array<std::string_view, 2> kPhaseNames = {"decode", "prefill"};
    if (!block->phase) {
      diagnostics_->Add("E101", label.place, fmt::format("'{}' is no phase", label.text),
                        SuggestName(label.text, kPhaseNames));
    } else if (block->kind.text != "prefetch" && block->kind.text != "schedule") {
      diagnostics_->Add(
          "E210", label.place,
          fmt::format("a {} block is the same in all phases", block->kind.text),
          fmt::format("write '{} {{'; only prefetch and schedule have phases", block->kind.text));
    }
  }

  void SkipBraces() {
    int depth = 0;
    do {
      if (Is(LexemeKind::kOpenBrace)) ++depth;
      if (Is(LexemeKind::kCloseBrace)) --depth;
      Take();
    } while (depth > 0 && !Is(LexemeKind::kEnd));
  }

  bool Parameter(std::vector<ParameterNode>* parameters) {
    ParameterNode parameter;
    parameter.name = Name("a parameter or '}'");
    if (parameter.name.text.empty()) return false;
    if (!Expect(LexemeKind::kEquals, fmt::format("'=' after '{}'", parameter.name.text)))
      return false;
    if (!ReadValue(&parameter.value)) return false;
    if (TakeIf(LexemeKind::kColon)) {
      ParameterNode::Guard guard;
      if (!ReadValue(&guard.value)) return false;
      if (!IsName("when")) {
        Unexpected("'when' and a condition");
        return false;
      }
      Take();
      if (!Condition(&guard.when, 0)) return false;
      parameter.guard = std::move(guard);
    }
    parameter.place = Through(parameter.name.place, last_);
    parameters->push_back(std::move(parameter));
    return true;
  }

  bool ReadValue(Value* value) {
    value->place = Peek().place;
    value->is_list = Is(LexemeKind::kOpenBracket);
    const bool read = value->is_list ? List(value) : Scalars(value);
    value->place = Through(value->place, last_);
    return read;
  }

  bool Scalars(Value* value) {
    while (true) {
      Scalar scalar;
      if (!ReadScalar(&scalar)) return false;
      value->scalars.push_back(std::move(scalar));
      if (!Is(LexemeKind::kPipe) && !Is(LexemeKind::kPlus)) return true;
      const char join = Is(LexemeKind::kPipe) ? '|' : '+';
      if (value->join != '\0' && value->join != join) {
        diagnostics_->Add("E101", Peek().place, "'|' and '+' in one value",
                          "use one of them: a | b is a cache of two levels, a + b blends");
        return false;
      }
      value->join = join;
      Take();
    }
  }

  bool ReadScalar(Scalar* scalar) {
    switch (Peek().kind) {
      case LexemeKind::kNumber:
        *scalar = Number();
        return true;
      case LexemeKind::kString:
        scalar->kind = Scalar::Kind::kString;
        scalar->text = Unquote(Peek().text);
        scalar->place = Take().place;
        return true;
      case LexemeKind::kName:
        scalar->kind = Scalar::Kind::kName;
        scalar->text = std::string(Peek().text);
        scalar->place = Take().place;
        return true;
      default:
        Unexpected("a value");
        return false;
    }
  }

  // REQUIRES: a number is next.
  Scalar Number() {
    Scalar scalar;
    scalar.kind = Scalar::Kind::kNumber;
    const Lexeme& token = Take();
    scalar.text = std::string(token.text);
    scalar.place = token.place;
    const auto [end, error] =
        std::from_chars(token.text.data(), token.text.data() + token.text.size(), scalar.number);
    if (error != std::errc() || !std::isfinite(scalar.number)) {
      diagnostics_->Add("E101", token.place, fmt::format("'{}' is out of every range", token.text));
      scalar.number = 0;
    }
    const bool attached = Peek().place.offset == token.place.end();
    if (Is(LexemeKind::kPercent)) {
      Take();
      scalar.unit = "%";
    } else if (Is(LexemeKind::kName) && Peek(1).kind != LexemeKind::kEquals &&
               IsUnit(Peek().text)) {
      scalar.unit = std::string(Take().text);
    } else if (Is(LexemeKind::kName) && attached) {
      diagnostics_->Add("E209", Peek().place, fmt::format("unknown unit '{}'", Peek().text),
                        SuggestName(Peek().text, kUnits));
      Take();
    }
    scalar.place = Through(scalar.place, last_);
    return scalar;
  }

  bool List(Value* value) {
    Take();  // [
    while (!Is(LexemeKind::kCloseBracket)) {
      ListItem item;
      item.place = Peek().place;
      if (!Item(&item)) return false;
      item.place = Through(item.place, last_);
      value->items.push_back(std::move(item));
      if (!TakeIf(LexemeKind::kComma) && !Is(LexemeKind::kCloseBracket)) {
        Unexpected("',' or ']'");
        return false;
      }
    }
    Take();
    return true;
  }

  bool Item(ListItem* item) {
    if (Is(LexemeKind::kName) || Is(LexemeKind::kString)) {
      const bool name = Is(LexemeKind::kName);
      item->kind = name ? ListItem::Kind::kName : ListItem::Kind::kString;
      item->text = name ? std::string(Take().text) : Unquote(Take().text);
      return true;
    }
    item->kind = ListItem::Kind::kSelector;
    if (!ReadSelector(&item->experts)) return false;
    if (!TakeIf(LexemeKind::kColon)) return true;
    item->layers = item->experts;
    return ReadSelector(&item->experts);
  }

  bool ReadSelector(Selector* selector) {
    if (TakeIf(LexemeKind::kStar)) {
      *selector = {.first = 0, .last = -1};
      return true;
    }
    if (!Index(&selector->first)) return false;
    selector->last = selector->first;
    if (!TakeIf(LexemeKind::kDotDot)) return true;
    if (TakeIf(LexemeKind::kStar)) {
      selector->last = -1;
      return true;
    }
    if (!Index(&selector->last)) return false;
    if (selector->last >= selector->first) return true;
    diagnostics_->Add("E302", last_, "a range that ends before it begins",
                      fmt::format("write {}..{}", selector->last, selector->first));
    std::swap(selector->first, selector->last);
    return true;
  }

  bool Index(int32_t* index) {
    const Lexeme& token = Peek();
    constexpr int32_t kMost = 1 << 20;  // layers or experts
    int32_t number = 0;
    const auto [end, error] =
        std::from_chars(token.text.data(), token.text.data() + token.text.size(), number);
    if (token.kind != LexemeKind::kNumber || end != token.text.data() + token.text.size()) {
      Unexpected("a whole number, a range like 0..7, or *");
      return false;
    }
    if (error != std::errc() || number < 0 || number > kMost) {
      diagnostics_->Add("E302", token.place, fmt::format("no model has an expert {}", token.text),
                        "layers and experts count from 0");
      number = 0;
    }
    *index = number;
    Take();
    return true;
  }

  // ---- adapt

  bool Rule(std::vector<AdaptNode>* rules) {
    AdaptNode rule;
    rule.place = Peek().place;
    if (!IsName("when")) {
      Unexpected("'when' or '}'");
      return false;
    }
    Take();
    if (!Condition(&rule.when, 0)) return false;
    while (IsName("for") || IsName("cooldown")) {
      std::optional<SpanNode>& span = Peek().text == "for" ? rule.hold : rule.cooldown;
      if (span) {
        Unexpected("'{'");
        return false;
      }
      const Place begin = Take().place;
      SpanNode node;
      if (!SpanOf(&node)) return false;
      node.place = Through(begin, last_);
      span = std::move(node);
    }
    rule.close = Body(&rule.open, [&] { return Action(&rule.actions); });
    rule.place = Through(rule.place, last_);
    if (rule.actions.empty() && diagnostics_->ok()) {
      diagnostics_->Add("E101", rule.open, "a rule that does nothing",
                        "write an action: { eviction = lru }");
    }
    rules->push_back(std::move(rule));
    return true;
  }

  bool SpanOf(SpanNode* span) {
    if (!Is(LexemeKind::kNumber)) {
      Unexpected("a number");
      return false;
    }
    span->count = Number();
    span->unit = {.text = span->count.unit, .place = span->count.place};
    if (Contains(kSpanUnits, span->unit.text)) return true;
    if (span->count.unit.empty() && Is(LexemeKind::kName)) span->unit = TakeWord();
    diagnostics_->Add("E209", span->unit.place,
                      span->unit.text.empty() ? "a time needs a unit"
                                              : fmt::format("'{}' is no span", span->unit.text),
                      SuggestName(span->unit.text, kSpanUnits));
    span->unit.text = "steps";
    return true;
  }

  bool Condition(ConditionNode* node, int depth) {
    return Joined(node, ConditionNode::Kind::kOr, "or", depth);
  }

  // Operands of `or`, or of `and`, which binds closer.
  bool Joined(ConditionNode* node, ConditionNode::Kind kind, std::string_view keyword, int depth) {
    const auto operand = [&](ConditionNode* child) {
      return kind == ConditionNode::Kind::kOr
                 ? Joined(child, ConditionNode::Kind::kAnd, "and", depth)
                 : Atom(child, depth);
    };
    ConditionNode first;
    if (!operand(&first)) return false;
    if (!IsName(keyword)) {
      *node = std::move(first);
      return true;
    }
    node->kind = kind;
    node->place = first.place;
    node->children.push_back(std::move(first));
    while (IsName(keyword)) {
      Take();
      ConditionNode next;
      if (!operand(&next)) return false;
      node->children.push_back(std::move(next));
    }
    node->place = Through(node->place, last_);
    return true;
  }

  bool Atom(ConditionNode* node, int depth) {
    node->place = Peek().place;
    if (TakeIf(LexemeKind::kOpenParenthesis)) {
      if (depth >= kDeepestCondition) {
        diagnostics_->Add("E103", last_, "parentheses too deep");
        return false;
      }
      return Condition(node, depth + 1) && Expect(LexemeKind::kCloseParenthesis, "')'");
    }
    node->metric = Name("a metric");
    if (node->metric.text.empty()) return false;
    if (!Is(LexemeKind::kCompare)) {
      Unexpected("<, >, <=, >= or !=");
      return false;
    }
    node->comparison = TakeWord();
    if (!Is(LexemeKind::kNumber)) {
      Unexpected("a number");
      return false;
    }
    node->number = Number();
    node->place = Through(node->place, last_);
    return true;
  }

  bool Action(std::vector<ActionNode>* actions) {
    ActionNode action;
    action.path.push_back(Name("an action or '}'"));
    action.place = action.path[0].place;
    if (action.path[0].text.empty()) return false;
    const std::string verb = action.path[0].text;
    if (Is(LexemeKind::kEquals) || Is(LexemeKind::kDot)) {
      while (TakeIf(LexemeKind::kDot)) {
        action.path.push_back(Name("a parameter"));
        if (action.path.back().text.empty()) return false;
      }
      if (!Expect(LexemeKind::kEquals, "'='") || !ReadValue(&action.value)) return false;
    } else if (verb == "log" && Is(LexemeKind::kString)) {
      action.kind = ActionNode::Kind::kLog;
      action.path = {{.text = Unquote(Peek().text), .place = Peek().place}};
      Take();
    } else if (verb == "trigger" || verb == "rebalance" || verb == "reset") {
      action.kind = verb == "trigger"     ? ActionNode::Kind::kTrigger
                    : verb == "rebalance" ? ActionNode::Kind::kRebalance
                                          : ActionNode::Kind::kReset;
      action.path = {Name("what to " + verb)};
      if (action.path[0].text.empty()) return false;
    } else {
      Unexpected(verb == "log" ? "the text in quotes" : fmt::format("'=' after '{}'", verb));
      return false;
    }
    action.place = Through(action.place, last_);
    actions->push_back(std::move(action));
    return true;
  }

  Diagnostics* diagnostics_;
  Words words_;
  size_t at_ = 0;
  Place last_;  // of the word taken last
};

}  // namespace

std::span<const std::string_view> UnitNames() { return kUnits; }
bool IsUnit(std::string_view word) { return Contains(kUnits, word); }

FileNode ParsePolicyFile(std::string_view source, Diagnostics* diagnostics) {
  if (source.size() > kMostPolicyBytes) {
    diagnostics->Add("E103", {}, fmt::format("{} bytes are too large for a policy", source.size()),
                     fmt::format("the limit is {} bytes", kMostPolicyBytes));
    return {};
  }
  return Parser(source, diagnostics).File();
}

}  // namespace sluice
