#include "cli/token_file.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace sluice {
namespace {

bool ParseLine(std::string_view line, int64_t vocab, std::vector<int32_t>* ids) {
  const char* at = line.data();
  const char* const end = at + line.size();
  while (true) {
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
    if (at == end) return true;
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0 || id >= vocab) return false;
    ids->push_back(id);
    at = next;
  }
}

}  // namespace

Result<std::vector<std::vector<int32_t>>> ReadTokenFile(const std::string& path, int64_t vocab) {
  constexpr uint64_t kMaxBytes = 256U << 20;
  SLUICE_TRY_ASSIGN(auto file, File::Open(path));
  SLUICE_TRY_ASSIGN(const std::string text, file->ReadAll(kMaxBytes));
  std::vector<std::vector<int32_t>> sequences;
  std::string_view rest = text;
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t end = rest.find('\n');
    std::vector<int32_t> ids;
    if (!ParseLine(rest.substr(0, end), vocab, &ids)) {
      return InvalidArgumentError(
          fmt::format("{}:{}: not a list of token ids from 0 to {}", path, line, vocab - 1));
    }
    if (!ids.empty()) sequences.push_back(std::move(ids));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  if (sequences.empty()) return InvalidArgumentError(path + ": no tokens in it");
  return sequences;
}

}  // namespace sluice
