// The trie is a Darts-clone double array (S. Yata): a unit is 32 bits, the child for a byte is at
// the exclusive or of its parent's offset and the byte. Read as it lies in the file.
#include "tokenizer/charsmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sluice {
namespace {

constexpr size_t kLongestKey =
    256;  // bytes; a table's are some 20, a damaged one may go in circles
constexpr uint32_t kValueBit = uint32_t{1} << 31;  // the unit holds a value, not a node

uint32_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
uint32_t LabelOf(uint32_t unit) { return unit & (kValueBit | 0xFF); }
bool HasValue(uint32_t unit) { return ((unit >> 8) & 1) != 0; }

uint32_t ReadUnit(std::string_view bytes, size_t at) {
  uint32_t unit = 0;
  for (size_t i = 0; i < 4; ++i) {
    unit |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return unit;
}

std::optional<uint32_t> Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

}  // namespace

Result<Charsmap> Charsmap::Create(std::string_view bytes) {
  if (bytes.size() < 4) return CorruptError("precompiled charsmap: shorter than its header");
  const uint32_t trie_bytes = ReadUnit(bytes, 0);
  bytes.remove_prefix(4);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= bytes.size()) {
    return CorruptError(
        fmt::format("precompiled charsmap: a trie of {} bytes in {}", trie_bytes, bytes.size()));
  }
  Charsmap charsmap;
  charsmap.replacements_ = bytes.substr(trie_bytes);
  if (charsmap.replacements_.back() != '\0') {
    return CorruptError("precompiled charsmap: the last replacement does not end");
  }
  charsmap.units_.reserve(trie_bytes / 4);
  for (size_t at = 0; at < trie_bytes; at += 4) {
    const uint32_t unit = ReadUnit(bytes, at);
    if ((unit & kValueBit) != 0 && (unit & ~kValueBit) >= charsmap.replacements_.size()) {
      return CorruptError("precompiled charsmap: an entry points behind the replacements");
    }
    charsmap.units_.push_back(unit);
  }
  return charsmap;
}

Charsmap::Match Charsmap::Find(std::string_view text, Wanted wanted) const {
  Match match;
  uint32_t node = OffsetOf(units_[0]);
  for (size_t i = 0; i < std::min(text.size(), kLongestKey); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || LabelOf(units_[node]) != byte) break;
    const bool has_value = HasValue(units_[node]);
    node ^= OffsetOf(units_[node]);
    if (!has_value) continue;
    if (node >= units_.size()) break;
    const uint32_t value = units_[node] & ~kValueBit;
    if (value >= replacements_.size()) break;
    match = {.bytes = i + 1, .replacement = replacements_.data() + value};
    if (wanted == Wanted::kShortest) break;
  }
  return match;
}

size_t Charsmap::longest_replacement() const {
  size_t longest = 0;
  for (size_t begin = 0; begin < replacements_.size();) {
    const size_t end = replacements_.find('\0', begin);
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

Result<std::string> DecodeBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::optional<uint32_t> digit = Base64Digit(c);
    if (!digit) return CorruptError("not base64");
    bits = (bits << 6) | *digit;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>((bits >> count) & 0xFF));
  }
  return bytes;
}

}  // namespace sluice
