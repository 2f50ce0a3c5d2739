// The header is the text of a Python dictionary with three keys. This parser takes what NumPy
// writes, with the freedom that the format's definition gives (order, blanks, kind of quotes), and
// nothing else of Python.
#include "routing/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/fp16.h"

namespace sluice {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeaderBytes = 1U << 20;
// More items than any trace has; products of lengths below it do not overflow.
constexpr uint64_t kMaxItems = uint64_t{1} << 40;
constexpr uint64_t kMaxItemBytes = 64U << 20;  // of a string
constexpr size_t kMaxDimensions = 8;

class HeaderParser {
 public:
  HeaderParser(std::string_view text, NpyHeader* header) : text_(text), header_(*header) {}

  Status Parse() {
    bool type = false;
    bool shape = false;
    SLUICE_TRY(Expect('{'));
    while (!Take('}')) {
      SLUICE_TRY_ASSIGN(const std::string key, Quoted());
      SLUICE_TRY(Expect(':'));
      if (key == "descr" && !type) {
        type = true;
        SLUICE_TRY(Descr());
      } else if (key == "fortran_order") {
        SLUICE_TRY(FortranOrder());
      } else if (key == "shape" && !shape) {
        shape = true;
        SLUICE_TRY(Shape());
      } else {
        return CorruptError(fmt::format("the .npy header has a key '{}' too many", key));
      }
      if (!Take(',')) {
        SLUICE_TRY(Expect('}'));
        break;
      }
    }
    Blanks();
    if (!text_.empty()) return CorruptError("the .npy header goes on after its end");
    if (!type || !shape) return CorruptError("the .npy header lacks 'descr' or 'shape'");
    return {};
  }

 private:
  void Blanks() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size())); }
  bool Take(char c) {
    Blanks();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Take(std::string_view word) {
    Blanks();
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  Status Expect(char c) {
    return Take(c) ? Status() : CorruptError(fmt::format("the .npy header lacks a '{}'", c));
  }

  Result<std::string> Quoted() {
    Blanks();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) {
      return CorruptError("the .npy header lacks a quoted string");
    }
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos)
      return CorruptError("a string of the .npy header has no end");
    std::string quoted(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return quoted;
  }

  Result<uint64_t> Number() {
    Blanks();
    const size_t digits = std::min(text_.find_first_not_of("0123456789"), text_.size());
    if (digits == 0 || digits > 15) return CorruptError("the .npy header lacks a length");
    uint64_t number = 0;
    for (const char c : text_.substr(0, digits))
      number = number * 10 + static_cast<uint64_t>(c - '0');
    text_.remove_prefix(digits);
    return number;
  }

  Status Descr() {
    if (Take('[')) return UnsupportedError("the array has records as items; only numbers are read");
    SLUICE_TRY_ASSIGN(header_.type, Quoted());
    std::string_view type = header_.type;
    const auto refuse = [&] {
      return UnsupportedError(fmt::format(
          "items of type '{}'; little-endian integers (i1 to i8, u1 to u8), floats (f2, f4, f8) "
          "and fixed strings (S, U) are read",
          header_.type));
    };
    if (type.empty()) return refuse();
    if (type[0] == '>') return refuse();
    if (type[0] == '<' || type[0] == '|' || type[0] == '=') type.remove_prefix(1);
    if (type.size() < 2 || type.size() > 10) return refuse();
    uint64_t size = 0;
    for (const char c : type.substr(1)) {
      if (c < '0' || c > '9') return refuse();
      size = size * 10 + static_cast<uint64_t>(c - '0');
    }
    const bool word = size == 1 || size == 2 || size == 4 || size == 8;
    switch (type[0]) {
      case 'i':
        header_.kind = NpyKind::kSigned;
        break;
      case 'u':
        header_.kind = NpyKind::kUnsigned;
        break;
      case 'f':
        header_.kind = NpyKind::kFloat;
        if (size == 1) return refuse();
        break;
      case 'S':
      case 'U':
        header_.kind = type[0] == 'S' ? NpyKind::kBytes : NpyKind::kUcs4;
        header_.item_bytes = type[0] == 'S' ? size : 4 * size;
        return size == 0 || header_.item_bytes > kMaxItemBytes ? refuse() : Status();
      default:
        return refuse();
    }
    header_.item_bytes = size;
    return word ? Status() : refuse();
  }

  Status FortranOrder() {
    if (Take("False")) return {};
    if (Take("True")) {
      return UnsupportedError("the array is in Fortran order; save np.ascontiguousarray(array)");
    }
    return CorruptError("'fortran_order' of the .npy header is neither True nor False");
  }

  Status Shape() {
    SLUICE_TRY(Expect('('));
    while (!Take(')')) {
      SLUICE_TRY_ASSIGN(const uint64_t length, Number());
      header_.shape.push_back(length);
      if (header_.shape.size() > kMaxDimensions || length > kMaxItems ||
          header_.items() > kMaxItems) {
        return CorruptError("the array is larger than any trace");
      }
      if (!Take(',')) {
        SLUICE_TRY(Expect(')'));
        break;
      }
    }
    return {};
  }

  std::string_view text_;
  NpyHeader& header_;
};

template <typename T>
T Load(const std::byte* from) {
  T value{};
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// One loop per type of item; `convert` makes what the caller wants of it.
template <typename T, typename Out, typename Convert>
void ForItems(std::span<const std::byte> items, std::vector<Out>* out, Convert convert) {
  out->resize(items.size() / sizeof(T));
  for (size_t i = 0; i < out->size(); ++i) {
    (*out)[i] = convert(Load<T>(items.data() + i * sizeof(T)));
  }
}

}  // namespace

uint64_t NpyHeader::items() const {
  // Lengths above the limit are refused one by one while the shape is read, so this stays below
  // kMaxItems^2 = 2^80 only for shapes that are about to be refused: saturate there.
  uint64_t items = 1;
  for (const uint64_t length : shape) {
    if (length != 0 && items > UINT64_MAX / length) return UINT64_MAX;
    items *= length;
  }
  return items;
}

Result<uint64_t> NpyHeaderBytes(std::span<const std::byte> preamble) {
  if (preamble.size() < kNpyPreambleBytes ||
      std::memcmp(preamble.data(), kMagic.data(), kMagic.size()) != 0) {
    return CorruptError("no .npy array");
  }
  const auto version = static_cast<int>(preamble[6]);
  if (version < 1 || version > 3 || preamble[7] != std::byte{0}) {
    return UnsupportedError(fmt::format("a .npy array of version {}.{}; 1.0, 2.0 and 3.0 are read",
                                        version, static_cast<int>(preamble[7])));
  }
  const uint64_t bytes = version == 1 ? 10 + uint64_t{Load<uint16_t>(preamble.data() + 8)}
                                      : 12 + uint64_t{Load<uint32_t>(preamble.data() + 8)};
  if (bytes > kMaxHeaderBytes) return CorruptError(fmt::format("a .npy header of {} bytes", bytes));
  return bytes;
}

Result<NpyHeader> ParseNpyHeader(std::span<const std::byte> bytes) {
  NpyHeader header;
  SLUICE_TRY_ASSIGN(header.header_bytes, NpyHeaderBytes(bytes));
  const size_t text = bytes[6] == std::byte{1} ? 10 : 12;
  if (bytes.size() < header.header_bytes) {
    return CorruptError("the .npy header goes on past the end of the file");
  }
  const auto* begin = reinterpret_cast<const char*>(bytes.data());
  SLUICE_TRY(HeaderParser({begin + text, header.header_bytes - text}, &header).Parse());
  return header;
}

void NpyIntegers(const NpyHeader& header, std::span<const std::byte> items,
                 std::vector<int32_t>* out) {
  const auto convert = [](auto value) {
    return std::in_range<int32_t>(value) ? static_cast<int32_t>(value) : -1;
  };
  if (header.kind == NpyKind::kSigned) {
    switch (header.item_bytes) {
      case 1:
        return ForItems<int8_t>(items, out, convert);
      case 2:
        return ForItems<int16_t>(items, out, convert);
      case 4:
        return ForItems<int32_t>(items, out, convert);
      default:
        return ForItems<int64_t>(items, out, convert);
    }
  }
  switch (header.item_bytes) {
    case 1:
      return ForItems<uint8_t>(items, out, convert);
    case 2:
      return ForItems<uint16_t>(items, out, convert);
    case 4:
      return ForItems<uint32_t>(items, out, convert);
    default:
      return ForItems<uint64_t>(items, out, convert);
  }
}

void NpyFloats(const NpyHeader& header, std::span<const std::byte> items, std::vector<float>* out) {
  switch (header.item_bytes) {
    case 2:
      return ForItems<uint16_t>(items, out, [](uint16_t half) { return F16ToF32(half); });
    case 4:
      return ForItems<float>(items, out, [](float value) { return value; });
    default:
      return ForItems<double>(items, out, [](double value) { return static_cast<float>(value); });
  }
}

Result<std::string> NpyText(const NpyHeader& header, std::span<const std::byte> items) {
  std::string text;
  if (header.kind == NpyKind::kBytes) {
    text.assign(reinterpret_cast<const char*>(items.data()), items.size());
  } else {
    for (size_t i = 0; i + 4 <= items.size(); i += 4) {
      const auto code = Load<uint32_t>(items.data() + i);
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return CorruptError("a string of the array is no Unicode");
      }
      if (code < 0x80) {
        text += static_cast<char>(code);
        continue;
      }
      const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first
      text += static_cast<char>((0xF00U >> more & 0xF0U) | code >> (6 * more));
      for (int byte = more - 1; byte >= 0; --byte) {
        text += static_cast<char>(0x80U | (code >> (6 * byte) & 0x3FU));
      }
    }
  }
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

}  // namespace sluice
