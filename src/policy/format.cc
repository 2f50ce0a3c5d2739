// Prints the tree in its order. A comment goes before what it stood before, or behind what it
// stood behind on the same line; one blank line of several stays.
#include "policy/format.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/parameters.h"
#include "policy/parser.h"

namespace sluice {
namespace {

// ".5" and "1." are good numbers and hard to read.
std::string PrettyNumber(std::string text) {
  if (text.starts_with('.')) text.insert(0, "0");
  if (text.starts_with("-.")) text.insert(1, "0");
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return text;
  const bool digit_follows = dot + 1 < text.size() && text[dot + 1] >= '0' && text[dot + 1] <= '9';
  return digit_follows ? text : text.erase(dot, 1);
}

std::string ScalarText(const Scalar& scalar) {
  switch (scalar.kind) {
    case Scalar::Kind::kString:
      return Quote(scalar.text);
    case Scalar::Kind::kName:
      return scalar.text;
    case Scalar::Kind::kNumber:
      break;
  }
  const bool counts =
      scalar.unit == "tokens" || scalar.unit == "steps" || scalar.unit == "accesses";
  return PrettyNumber(scalar.text) + (counts ? " " : "") + scalar.unit;
}

std::string SelectorText(const Selector& selector) {
  if (selector == Selector{}) return "*";
  if (selector.last == -1) return fmt::format("{}..*", selector.first);
  if (selector.first == selector.last) return fmt::format("{}", selector.first);
  return fmt::format("{}..{}", selector.first, selector.last);
}

std::string ItemText(const ListItem& item) {
  switch (item.kind) {
    case ListItem::Kind::kName:
      return item.text;
    case ListItem::Kind::kString:
      return Quote(item.text);
    case ListItem::Kind::kSelector:
      break;
  }
  const std::string experts = SelectorText(item.experts);
  return item.layers ? SelectorText(*item.layers) + ":" + experts : experts;
}

std::string ValueText(const Value& value) {
  std::string text;
  if (value.is_list) {
    for (const ListItem& item : value.items) text += (text.empty() ? "" : ", ") + ItemText(item);
    return "[" + text + "]";
  }
  for (const Scalar& scalar : value.scalars) {
    if (!text.empty()) text += fmt::format(" {} ", value.join);
    text += ScalarText(scalar);
  }
  return text;
}

// Parentheses only where `or` stands inside `and`.
std::string ConditionText(const ConditionNode& node) {
  if (node.kind == ConditionNode::Kind::kAtom) {
    return fmt::format("{} {} {}", node.metric.text, node.comparison.text, ScalarText(node.number));
  }
  const bool conjunction = node.kind == ConditionNode::Kind::kAnd;
  std::string text;
  for (const ConditionNode& child : node.children) {
    if (!text.empty()) text += conjunction ? " and " : " or ";
    const bool wrap = conjunction && child.kind == ConditionNode::Kind::kOr;
    text += wrap ? "(" + ConditionText(child) + ")" : ConditionText(child);
  }
  return text;
}

std::string SpanText(const SpanNode& span) {
  return PrettyNumber(span.count.text) + " " + span.unit.text;
}

std::string ActionText(const ActionNode& action) {
  const std::string& word = action.path.front().text;
  switch (action.kind) {
    case ActionNode::Kind::kTrigger:
      return "trigger " + word;
    case ActionNode::Kind::kRebalance:
      return "rebalance " + word;
    case ActionNode::Kind::kReset:
      return "reset " + word;
    case ActionNode::Kind::kLog:
      return "log " + Quote(word);
    case ActionNode::Kind::kSet:
      break;
  }
  std::string path;
  for (const Word& part : action.path) path += (path.empty() ? "" : ".") + part.text;
  return path + " = " + ValueText(action.value);
}

class Formatter {
 public:
  Formatter(const FileNode& file, std::string_view source) : file_(file), source_(source) {}

  std::string Run() {
    if (file_.version) {
      Begin(file_.version_place);
      Line("version " + PrettyNumber(file_.version->text), file_.version->place.end());
    }
    for (const PolicyNode& policy : file_.policies) {
      if (!text_.empty()) blank_ = true;
      Policy(policy);
    }
    CommentsBefore(static_cast<uint32_t>(source_.size()) + 1);
    return std::move(text_);
  }

 private:
  // What stands before an element: comments, and a blank line if there was one.
  void Begin(const Place& place) {
    CommentsBefore(place.end());
    if (BlankBefore(place.offset)) blank_ = true;
    last_end_ = place.offset;
  }

  // Of something with a body, up to the brace: what stands in the body is printed there.
  static Place HeadOf(const Place& whole, const Place& brace) {
    Place head = whole;
    head.length = brace.end() - whole.offset;
    return head;
  }

  // Also those inside the element: it becomes one line, and they go before it.
  void CommentsBefore(uint32_t end) {
    while (next_comment_ < file_.comments.size() &&
           file_.comments[next_comment_].place.offset < end) {
      const Comment& comment = file_.comments[next_comment_++];
      if (BlankBefore(comment.place.offset)) blank_ = true;
      Emit(std::string(comment.text));
      last_end_ = comment.place.end();
    }
  }

  // More than one line break since what was printed last.
  bool BlankBefore(uint32_t offset) const {
    if (offset <= last_end_ || text_.empty()) return false;
    const std::string_view between = source_.substr(last_end_, offset - last_end_);
    return std::ranges::count(between, '\n') > 1 &&
           between.find_first_not_of(" \t\r\n;") == std::string_view::npos;
  }

  void Emit(const std::string& line) {
    if (blank_ && !text_.empty() && !opened_) text_ += '\n';
    blank_ = false;
    opened_ = false;
    text_.append(static_cast<size_t>(depth_) * 4, ' ').append(line).append("\n");
  }

  // A line that ends, in the source, at `end`; a comment behind it stays behind it.
  void Line(const std::string& line, uint32_t end) {
    Emit(line);
    last_end_ = end;
    if (next_comment_ >= file_.comments.size()) return;
    const Comment& comment = file_.comments[next_comment_];
    if (comment.own_line || comment.place.offset < end) return;
    const std::string_view between = source_.substr(end, comment.place.offset - end);
    if (between.find_first_not_of(" \t\r;") != std::string_view::npos) return;
    text_.pop_back();
    text_.append(" ").append(comment.text).append("\n");
    last_end_ = comment.place.end();
    ++next_comment_;
  }

  void Open(const std::string& head, const Place& brace) {
    Line(head + " {", brace.end());
    ++depth_;
    opened_ = true;
  }
  void Close(const Place& brace) {
    CommentsBefore(brace.end());
    --depth_;
    blank_ = false;
    opened_ = true;  // no blank line before a brace
    Line("}", brace.end());
  }

  void Policy(const PolicyNode& policy) {
    std::string head = "policy " + policy.name.text;
    if (policy.extends) head += " extends " + policy.extends->text;
    Begin(HeadOf(policy.place, policy.open));
    Open(head, policy.open);
    for (const BlockNode& block : policy.blocks) Block(block);
    Close(policy.close);
  }

  void Block(const BlockNode& block) {
    Begin(HeadOf(block.place, block.open));
    std::string head = block.kind.text;
    if (!block.label.text.empty()) head += " " + block.label.text;
    Open(head, block.open);
    for (const ParameterNode& parameter : block.parameters) Parameter(parameter);
    for (const AdaptNode& rule : block.rules) Rule(rule);
    Close(block.close);
  }

  void Parameter(const ParameterNode& parameter) {
    Begin(parameter.place);
    std::string line = parameter.name.text + " = " + ValueText(parameter.value);
    if (parameter.guard) {
      line += " : " + ValueText(parameter.guard->value) + " when " +
              ConditionText(parameter.guard->when);
    }
    Line(line, parameter.place.end());
  }

  void Rule(const AdaptNode& rule) {
    Begin(HeadOf(rule.place, rule.open));
    std::string head = "when " + ConditionText(rule.when);
    if (rule.hold) head += " for " + SpanText(*rule.hold);
    if (rule.cooldown) head += " cooldown " + SpanText(*rule.cooldown);
    Open(head, rule.open);
    for (const ActionNode& action : rule.actions) {
      Begin(action.place);
      Line(ActionText(action), action.place.end());
    }
    Close(rule.close);
  }

  const FileNode& file_;
  std::string_view source_;
  std::string text_;
  size_t next_comment_ = 0;
  uint32_t last_end_ = 0;  // in the source, of what was printed last
  int depth_ = 0;
  bool blank_ = false;   // a blank line is due
  bool opened_ = false;  // a brace was printed last
};

}  // namespace

std::string FormatPolicyFile(const FileNode& file, std::string_view source) {
  return Formatter(file, source).Run();
}

Result<std::string> FormatPolicyText(std::string_view source, const std::string& file_name) {
  Diagnostics diagnostics(file_name, source);
  const FileNode file = ParsePolicyFile(source, &diagnostics);
  diagnostics.SortByPlace();
  SLUICE_TRY(diagnostics.ToStatus());
  return FormatPolicyFile(file, source);
}

}  // namespace sluice
