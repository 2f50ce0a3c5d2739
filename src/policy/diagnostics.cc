// Diagnostics are collected, not thrown: a person wants to see all problems of a file at once.
#include "policy/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {

Place Through(const Place& first, const Place& last) {
  Place whole = first;
  if (last.end() > first.offset) whole.length = last.end() - first.offset;
  return whole;
}

const std::vector<PolicyRule>& PolicyRules() {
  static const std::vector<PolicyRule> rules = {
#define SLUICE_RULE(code, title) {#code, title},
#include "policy/rules.inc"
#undef SLUICE_RULE
  };
  return rules;
}

Diagnostics::Diagnostics(std::string file_name, std::string_view source)
    : file_name_(std::move(file_name)), source_(source) {}

void Diagnostics::Add(std::string_view code, const Place& place, std::string message,
                      std::string remedy) {
  const Severity severity = code.front() == 'W' ? Severity::kWarning : Severity::kError;
  const size_t warnings = found_.size() - errors_;
  if (severity == Severity::kError ? full() : warnings >= kMost) return;
  for (const Diagnostic& known : found_) {
    if (known.code == code && known.place.offset == place.offset && known.message == message)
      return;
  }
  if (severity == Severity::kError) ++errors_;
  found_.push_back({.severity = severity,
                    .code = code,
                    .place = place,
                    .message = std::move(message),
                    .remedy = std::move(remedy)});
}

void Diagnostics::SortByPlace() {
  std::ranges::stable_sort(
      found_, {}, [](const Diagnostic& d) { return std::tuple(d.place.line, d.place.column); });
}

std::string_view Diagnostics::LineAt(const Place& place) const {
  const std::string_view source = source_;
  if (place.line == 0 || place.offset > source.size()) return {};
  const size_t begin = place.offset + 1 - static_cast<size_t>(place.column);
  const size_t end = source.find('\n', begin);
  std::string_view line = source.substr(begin, end == std::string_view::npos ? end : end - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string Diagnostics::Render(const Diagnostic& diagnostic) const {
  const Place& place = diagnostic.place;
  std::string text = fmt::format("{}:{}:{}: {} {}: {}\n", file_name_, std::max(place.line, 1),
                                 std::max(place.column, 1),
                                 diagnostic.severity == Severity::kError ? "error" : "warning",
                                 diagnostic.code, diagnostic.message);
  // A longer line is not for people.
  constexpr size_t kLongest = 200;
  const std::string_view line = LineAt(place);
  if (!line.empty() && line.size() <= kLongest) {
    const auto column = static_cast<size_t>(place.column - 1);
    std::string under;  // tabs stay tabs, so that the caret stands where the eye expects it
    for (const char c : line.substr(0, std::min(column, line.size()))) {
      if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) under += c == '\t' ? '\t' : ' ';
    }
    const size_t left = line.size() > column ? line.size() - column : 1;
    const size_t width = std::clamp<size_t>(place.length, 1, std::max<size_t>(left, 1));
    text += fmt::format("    {}\n    {}^{:~<{}}\n", line, under, "", width - 1);
  }
  if (!diagnostic.remedy.empty()) text += fmt::format("    {}\n", diagnostic.remedy);
  return text;
}

std::string Diagnostics::RenderAll() const {
  std::string text;
  for (const Diagnostic& diagnostic : found_) text += Render(diagnostic);
  return text;
}

Status Diagnostics::ToStatus() const {
  if (ok()) return {};
  std::string text =
      fmt::format("{} {} in policy {}\n", errors_, errors_ == 1 ? "error" : "errors", file_name_);
  for (const Diagnostic& diagnostic : found_) {
    if (diagnostic.severity == Severity::kError) text += Render(diagnostic);
  }
  while (text.ends_with('\n')) text.pop_back();
  return InvalidArgumentError(std::move(text));
}

}  // namespace sluice
