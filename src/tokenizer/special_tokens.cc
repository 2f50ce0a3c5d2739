#include "tokenizer/special_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace sluice {
namespace {

constexpr int32_t kNone = -1;

// The character that ends right before `end`.
Utf8Char CharBefore(std::string_view text, size_t end) {
  for (size_t bytes = std::min<size_t>(4, end); bytes > 1; --bytes) {
    const Utf8Char c = DecodeUtf8(text.substr(0, end), end - bytes);
    if (c.valid && c.bytes == bytes) return c;
  }
  return DecodeUtf8(text.substr(0, end), end - 1);
}

// \w of a regular expression.
bool IsWordChar(char32_t code) {
  return code == '_' || IsClass(code, kLetter | kMark | kNumber) || code == 0x203F ||
         code == 0x2040;
}

bool TouchesWord(std::string_view text, const TextSpan& span) {
  const bool before = span.begin > 0 && IsWordChar(CharBefore(text, span.begin).code);
  return before || (span.end < text.size() && IsWordChar(DecodeUtf8(text, span.end).code));
}

// `span` with the whitespace around it that its token swallows, but none before `from`.
TextSpan WithWhitespace(std::string_view text, TextSpan span, size_t from,
                        const AddedToken& rules) {
  while (rules.lstrip && span.begin > from) {
    const Utf8Char c = CharBefore(text, span.begin);
    if (!IsClass(c.code, kSpace)) break;
    span.begin -= c.bytes;
  }
  while (rules.rstrip && span.end < text.size()) {
    const Utf8Char c = DecodeUtf8(text, span.end);
    if (!IsClass(c.code, kSpace)) break;
    span.end += c.bytes;
  }
  return span;
}

}  // namespace

uint32_t SpecialTokenFinder::Child(uint32_t node, uint8_t byte) const {
  const auto found = children_.find(uint64_t{node} * 256 + byte);
  return found == children_.end() ? 0 : found->second;
}

void SpecialTokenFinder::Add(std::string_view text, const AddedToken& rules, bool control) {
  if (text.empty()) return;
  uint32_t node = 0;
  for (const char c : text) {
    const auto [child, added] = children_.try_emplace(
        uint64_t{node} * 256 + static_cast<uint8_t>(c), static_cast<uint32_t>(token_at_.size()));
    if (added) token_at_.push_back(kNone);
    node = child->second;
  }
  if (token_at_[node] != kNone) return;
  token_at_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back({.rules = rules, .control = control});
}

SpecialTokenFinder::Match SpecialTokenFinder::LongestAt(std::string_view text, size_t position,
                                                        size_t end, bool find_control) const {
  Match longest;
  uint32_t node = 0;
  for (size_t i = position; i < end; ++i) {
    node = Child(node, static_cast<uint8_t>(text[i]));
    if (node == 0) break;
    if (token_at_[node] == kNone) continue;
    const Token& token = tokens_[static_cast<size_t>(token_at_[node])];
    if (token.control && !find_control) continue;
    longest = {.span = {.begin = position, .end = i + 1}, .token = &token};
  }
  return longest;
}

std::vector<TextSegment> SpecialTokenFinder::Cut(std::string_view text, bool find_control,
                                                 std::span<const TextSpan> plain) const {
  std::vector<TextSegment> segments;
  size_t done = 0;
  for (size_t i = 0; i < text.size() && !empty();) {
    while (!plain.empty() && plain.front().end <= i) plain = plain.subspan(1);
    const size_t end = plain.empty() ? text.size() : plain.front().begin;
    const Match match = LongestAt(text, i, end, find_control);
    if (match.token == nullptr) {
      ++i;
      continue;
    }
    i = match.span.end;
    if (match.token->rules.single_word && TouchesWord(text, match.span)) continue;
    const TextSpan span = WithWhitespace(text, match.span, done, match.token->rules);
    if (span.begin > done) segments.push_back({.span = {.begin = done, .end = span.begin}});
    segments.push_back({.span = span, .id = match.token->rules.id});
    done = span.end;
    i = done;
  }
  if (done < text.size()) segments.push_back({.span = {.begin = done, .end = text.size()}});
  return segments;
}

}  // namespace sluice
