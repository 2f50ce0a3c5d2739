// The header is JSON from a stranger, so it is read as events: duplicate keys are seen, depth is
// bounded, and nothing is kept but the fields that the format has.
#include "checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
};

// Collects {"name": {"dtype": .., "shape": [..], "data_offsets": [b, e]}, "__metadata__": {..}}.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry>& entries() { return entries_; }
  const std::string& error() const { return error_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return Unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Unexpected("a fraction"); }
  bool binary(binary_t&) override { return Unexpected("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ != 2 || !in_array_ || in_metadata_) return Unexpected("a number");
    if (field_ == "shape")
      entries_.back().shape.push_back(value);
    else if (field_ == "data_offsets")
      entries_.back().offsets.push_back(value);
    else
      return Unexpected("a number");
    constexpr size_t kMaxRank = 8;
    if (entries_.back().shape.size() > kMaxRank || entries_.back().offsets.size() > 2) {
      return Fail("'" + entries_.back().name + "' has too many numbers in '" + field_ + "'");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (in_metadata_ && depth_ == 2) return true;
    if (depth_ != 2 || in_array_ || field_ != "dtype") return Unexpected("a string");
    entries_.back().dtype = value;
    return true;
  }

  bool start_object(size_t) override {
    ++depth_;
    if (depth_ > 2 || in_array_) return Unexpected("a nested object");
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 2) {
      field_ = name;
      return true;
    }
    in_metadata_ = name == "__metadata__";
    if (!names_.insert(name).second) return Fail("'" + name + "' appears twice");
    if (names_.size() > kMaxTensors) return Fail("too many tensors");
    if (!in_metadata_) entries_.push_back({.name = name, .dtype = {}, .shape = {}, .offsets = {}});
    return true;
  }

  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_) return Unexpected("an array");
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return Fail(fmt::format("no JSON at byte {} of the header", position));
  }

 private:
  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool Unexpected(const char* what) {
    return Fail(fmt::format("{} where none belongs (field '{}')", what, field_));
  }

  std::vector<Entry> entries_;
  std::set<std::string> names_;
  std::string field_;
  std::string error_;
  int depth_ = 0;
  bool in_array_ = false;
  bool in_metadata_ = false;
};

struct DataType {
  std::string_view name;
  int bytes;
  std::optional<Format> format;
};
constexpr DataType kDataTypes[] = {
    {"F32", 4, Format::kF32},  {"F16", 2, Format::kF16},     {"BF16", 2, Format::kBF16},
    {"F64", 8, std::nullopt},  {"I64", 8, std::nullopt},     {"I32", 4, std::nullopt},
    {"I16", 2, std::nullopt},  {"I8", 1, std::nullopt},      {"U64", 8, std::nullopt},
    {"U32", 4, std::nullopt},  {"U16", 2, std::nullopt},     {"U8", 1, std::nullopt},
    {"BOOL", 1, std::nullopt}, {"F8_E4M3", 1, std::nullopt}, {"F8_E5M2", 1, std::nullopt}};

// Checks one entry's arithmetic; returns the byte range in the data part.
Result<std::pair<uint64_t, uint64_t>> CheckEntry(const Entry& entry, uint64_t data_bytes,
                                                 std::optional<Format>* format) {
  const auto* type = std::ranges::find(kDataTypes, entry.dtype, &DataType::name);
  if (type == std::end(kDataTypes)) {
    return UnsupportedError(
        fmt::format("tensor '{}' has dtype '{}', which is not supported", entry.name, entry.dtype));
  }
  if (entry.offsets.size() != 2) {
    return CorruptError(fmt::format("tensor '{}' has no data_offsets", entry.name));
  }
  const uint64_t begin = entry.offsets[0];
  const uint64_t end = entry.offsets[1];
  uint64_t bytes = static_cast<uint64_t>(type->bytes);
  for (const uint64_t size : entry.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return CorruptError(fmt::format("tensor '{}' has an impossible shape", entry.name));
    }
  }
  if (begin > end || end > data_bytes || end - begin != bytes) {
    return CorruptError(fmt::format(
        "tensor '{}' claims bytes {}..{} of {} for {} bytes of numbers: the download may be "
        "incomplete",
        entry.name, begin, end, data_bytes, bytes));
  }
  *format = type->format;
  return std::pair(begin, end);
}

// The format allows neither holes nor overlap.
Status CheckCovered(std::vector<std::pair<uint64_t, uint64_t>> ranges, uint64_t data_bytes) {
  std::ranges::sort(ranges);
  uint64_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) {
      return CorruptError(
          fmt::format("hole or overlap at byte {} of the data", std::min(begin, covered)));
    }
    covered = end;
  }
  if (covered != data_bytes) {
    return CorruptError(fmt::format("{} bytes after the last tensor", data_bytes - covered));
  }
  return {};
}

}  // namespace

Status ReadSafetensors(const File* file, TensorTable* tensors) {
  uint64_t header_bytes = 0;
  SLUICE_TRY(file->ReadAt(0, std::as_writable_bytes(std::span(&header_bytes, 1))));
  if (header_bytes > kMaxHeaderBytes || header_bytes > file->bytes() - sizeof(header_bytes)) {
    return CorruptError(
        fmt::format("{}: a header of {} bytes is impossible: not a safetensors file?", file->name(),
                    header_bytes));
  }
  std::string header(header_bytes, '\0');
  SLUICE_TRY(file->ReadAt(sizeof(header_bytes), std::as_writable_bytes(std::span(header))));
  HeaderReader reader;
  if (!header.starts_with('{') || !nlohmann::json::sax_parse(header, &reader)) {
    return CorruptError(fmt::format("{}: bad header: {}", file->name(),
                                    reader.error().empty() ? "no JSON object" : reader.error()));
  }
  const uint64_t data_begin = sizeof(header_bytes) + header_bytes;
  const uint64_t data_bytes = file->bytes() - data_begin;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const Entry& entry : reader.entries()) {
    std::optional<Format> format;
    auto range = CheckEntry(entry, data_bytes, &format);
    if (!range.ok()) return range.status().Annotate(file->name());
    ranges.push_back(*range);
    if (range->first == range->second || entry.shape.empty()) continue;
    if (!format) {
      tensors->InsertRaw(entry.name,
                         {.file = file,
                          .offset = data_begin + range->first,
                          .bytes = range->second - range->first,
                          .dtype = entry.dtype,
                          .shape = std::vector<int64_t>(entry.shape.begin(), entry.shape.end())});
      continue;
    }
    TensorEntry placed{.file = file,
                       .offset = data_begin + range->first,
                       .format = *format,
                       .shape = std::vector<int64_t>(entry.shape.begin(), entry.shape.end())};
    SLUICE_TRY(tensors->Insert(entry.name, std::move(placed)));
  }
  return CheckCovered(std::move(ranges), data_bytes).Annotate(file->name());
}

}  // namespace sluice
