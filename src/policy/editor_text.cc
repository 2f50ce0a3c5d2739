// One character of UTF-8 is one UTF-16 unit, or two if it takes four bytes.
#include "policy/editor_text.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

struct Character {
  size_t bytes = 1;
  uint32_t units = 1;
};
Character CharacterOf(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte >= 0xF0) return {.bytes = 4, .units = 2};
  if (byte >= 0xE0) return {.bytes = 3};
  if (byte >= 0xC0) return {.bytes = 2};
  return {};
}

}  // namespace

EditorText::EditorText(std::string text) : text_(std::move(text)), begins_{0} {
  for (size_t i = 0; i < text_.size(); ++i) {
    const bool pair = text_[i] == '\r' && i + 1 < text_.size() && text_[i + 1] == '\n';
    if (text_[i] == '\n' || (text_[i] == '\r' && !pair)) begins_.push_back(i + 1);
  }
}

size_t EditorText::LineEnd(size_t line) const {
  if (line + 1 == begins_.size()) return text_.size();
  size_t end = begins_[line + 1] - 1;
  if (text_[end] == '\n' && end > begins_[line] && text_[end - 1] == '\r') --end;
  return end;
}

size_t EditorText::OffsetAt(EditorPosition position) const {
  if (position.line >= begins_.size()) return text_.size();
  size_t at = begins_[position.line];
  const size_t end = LineEnd(position.line);
  uint32_t left = position.character;
  while (at < end) {
    const Character character = CharacterOf(text_[at]);
    if (left < character.units) return at;
    left -= character.units;
    at = std::min(at + character.bytes, end);
  }
  return at;
}

EditorPosition EditorText::PositionAt(size_t offset) const {
  offset = std::min(offset, text_.size());
  const auto after = std::upper_bound(begins_.begin(), begins_.end(), offset);
  const auto line = static_cast<size_t>(after - begins_.begin()) - 1;
  const size_t end = std::min(offset, LineEnd(line));
  EditorPosition position{.line = static_cast<uint32_t>(line)};
  for (size_t at = begins_[line]; at < end;) {
    const Character character = CharacterOf(text_[at]);
    if (at + character.bytes > end) break;
    position.character += character.units;
    at += character.bytes;
  }
  return position;
}

}  // namespace sluice
