// A text with positions as editors count them: lines and columns from 0, columns in UTF-16 code
// units (the Language Server Protocol's default).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct EditorPosition {
  uint32_t line = 0;
  uint32_t character = 0;
  friend bool operator==(const EditorPosition&, const EditorPosition&) = default;
};

class EditorText {
 public:
  // `text`: UTF-8. Lines end with LF, CR LF or CR.
  explicit EditorText(std::string text);

  const std::string& text() const { return text_; }
  // The byte at a position. Beyond the end of a line it is that end, beyond the last line the end
  // of the text; in the middle of a character its first byte.
  size_t OffsetAt(EditorPosition position) const;
  // Inverse of OffsetAt for the first byte of a character.
  EditorPosition PositionAt(size_t offset) const;

 private:
  size_t LineEnd(size_t line) const;  // without what ends it

  std::string text_;
  std::vector<size_t> begins_;  // of lines
};

}  // namespace sluice
