// Content-Length is the only field that matters; lines may end without CR.
#include "cli/json_rpc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace sluice {
namespace {

std::string_view Trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// A line without what ends it; nullopt at the end of the input.
Result<std::optional<std::string>> ReadLine(std::istream* in, size_t* header_bytes) {
  std::string line;
  for (int c = in->get(); c != std::istream::traits_type::eof(); c = in->get()) {
    if (++*header_bytes > kMostHeaderBytes) {
      return InvalidArgumentError(
          fmt::format("a message header of more than {} bytes", kMostHeaderBytes));
    }
    if (c == '\n') {
      if (line.ends_with('\r')) line.pop_back();
      return std::optional<std::string>(std::move(line));
    }
    line += static_cast<char>(c);
  }
  if (*header_bytes == 0) return std::optional<std::string>();
  return InvalidArgumentError("the input ends inside a message header");
}

Result<size_t> ParseLength(std::string_view text) {
  size_t length = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, length);
  if (error != std::errc() || stop != end || length > kMostMessageBytes) {
    return InvalidArgumentError(
        fmt::format("Content-Length is '{}': it has to be a number of bytes up to {}",
                    text.substr(0, 40), kMostMessageBytes));
  }
  return length;
}

}  // namespace

Result<std::optional<std::string>> ReadMessage(std::istream* in) {
  std::optional<size_t> length;
  size_t header_bytes = 0;
  while (true) {
    SLUICE_TRY_ASSIGN(const std::optional<std::string> line, ReadLine(in, &header_bytes));
    if (!line) return std::optional<std::string>();
    if (line->empty()) break;
    const std::string_view field = *line;
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) {
      return InvalidArgumentError("a message header without ':'");
    }
    if (!SameIgnoringCase(Trimmed(field.substr(0, colon)), "Content-Length")) continue;
    SLUICE_TRY_ASSIGN(length, ParseLength(Trimmed(field.substr(colon + 1))));
  }
  if (!length) return InvalidArgumentError("a message header without Content-Length");
  std::string body(*length, '\0');
  in->read(body.data(), static_cast<std::streamsize>(body.size()));
  if (static_cast<size_t>(in->gcount()) != *length) {
    return InvalidArgumentError("the input ends inside a message");
  }
  return std::optional<std::string>(std::move(body));
}

std::string FramedMessage(std::string_view body) {
  return fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
}

}  // namespace sluice
