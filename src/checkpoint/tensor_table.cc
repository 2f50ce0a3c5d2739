#include "checkpoint/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "checkpoint/packed_matrix.h"

namespace sluice {
namespace {

// Bytes of a tensor, or a failure that says which rule it breaks.
Result<uint64_t> TensorBytes(const std::vector<int64_t>& shape, const FormatSpec& spec) {
  uint64_t elements = 1;
  for (const int64_t dimension : shape) {
    if (dimension <= 0 ||
        __builtin_mul_overflow(elements, static_cast<uint64_t>(dimension), &elements)) {
      return CorruptError(fmt::format("impossible shape [{}]", fmt::join(shape, ", ")));
    }
  }
  if (shape.empty() || shape.back() % spec.block_elements != 0) {
    return CorruptError(fmt::format("shape [{}] does not divide into {} blocks of {}",
                                    fmt::join(shape, ", "), spec.name, spec.block_elements));
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements / static_cast<uint64_t>(spec.block_elements),
                             static_cast<uint64_t>(spec.block_bytes), &bytes)) {
    return CorruptError(fmt::format("impossible shape [{}]", fmt::join(shape, ", ")));
  }
  return bytes;
}

}  // namespace

TensorTable::TensorTable() = default;
TensorTable::~TensorTable() = default;
TensorTable::TensorTable(TensorTable&&) noexcept = default;
TensorTable& TensorTable::operator=(TensorTable&&) noexcept = default;

const File* TensorTable::AddFile(std::unique_ptr<File> file) {
  files_.push_back(std::move(file));
  return files_.back().get();
}

Status TensorTable::Insert(const std::string& name, TensorEntry entry) {
  const std::string where = entry.file->name() + ": tensor '" + name + "'";
  Result<uint64_t> bytes = TensorBytes(entry.shape, Spec(entry.format));
  if (!bytes.ok()) return bytes.status().Annotate(where);
  entry.bytes = *bytes;
  if (entry.offset > entry.file->bytes() || entry.bytes > entry.file->bytes() - entry.offset) {
    return CorruptError(fmt::format(
        "{}: bytes {}..{} lie outside the file, which has {}: the download may be incomplete",
        where, entry.offset, entry.offset + entry.bytes, entry.file->bytes()));
  }
  if (!entries_.emplace(name, std::move(entry)).second) {
    return CorruptError(where + " appears twice");
  }
  return {};
}

std::string TensorTable::Describe(const TensorExtent& extent) const {
  for (const auto& [name, entry] : entries_) {
    if (entry.file == extent.file && extent.offset >= entry.offset &&
        extent.offset - entry.offset < entry.bytes) {
      return fmt::format("{}: tensor '{}'", entry.file->name(), name);
    }
  }
  return fmt::format("{}: the tensor at byte {}", extent.file->name(), extent.offset);
}

Status TensorTable::InsertPacked(PackedMatrix matrix, std::vector<int64_t> shape) {
  packed_.push_back(std::make_unique<PackedMatrix>(std::move(matrix)));
  const PackedMatrix* kept = packed_.back().get();
  const TensorEntry entry{.file = kept->codes.file,
                          .offset = kept->codes.offset,
                          .bytes = kept->codes.bytes,
                          .format = Format::kF32,
                          .shape = std::move(shape),
                          .packed = kept};
  if (entries_.emplace(kept->name, entry).second) return {};
  return CorruptError(
      fmt::format("{}: tensor '{}' appears twice", kept->codes.file->name(), kept->name));
}

Result<const TensorEntry*> TensorTable::Find(std::string_view name,
                                             const std::vector<int64_t>& shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return NotFoundError(fmt::format("tensor '{}' is missing", name));
  if (found->second.shape != shape) {
    return CorruptError(fmt::format("{}: tensor '{}' has shape [{}], expected [{}]",
                                    found->second.file->name(), name,
                                    fmt::join(found->second.shape, ", "), fmt::join(shape, ", ")));
  }
  return &found->second;
}

Result<TensorExtent> TensorTable::Matrix(std::string_view name, int64_t rows, int64_t cols) const {
  const auto found = entries_.find(name);
  const bool is_vector = rows == 1 && found != entries_.end() && found->second.shape.size() == 1;
  SLUICE_TRY_ASSIGN(
      const TensorEntry* entry,
      Find(name, is_vector ? std::vector<int64_t>{cols} : std::vector<int64_t>{rows, cols}));
  return TensorExtent{.file = entry->file,
                      .offset = entry->offset,
                      .bytes = entry->bytes,
                      .format = entry->format,
                      .rows = rows,
                      .cols = cols,
                      .packed = {.matrix = entry->packed}};
}

Result<TensorExtent> TensorTable::Slice(std::string_view name, int64_t index, int64_t count,
                                        int64_t rows, int64_t cols) const {
  const auto found = entries_.find(name);
  const bool flat = found != entries_.end() && found->second.shape.size() == 2;
  SLUICE_TRY_ASSIGN(const TensorEntry* entry,
                    Find(name, flat ? std::vector<int64_t>{count * rows, cols}
                                    : std::vector<int64_t>{count, rows, cols}));
  const uint64_t bytes = entry->bytes / static_cast<uint64_t>(count);
  return TensorExtent{.file = entry->file,
                      .offset = entry->offset + bytes * static_cast<uint64_t>(index),
                      .bytes = bytes,
                      .format = entry->format,
                      .rows = rows,
                      .cols = cols,
                      .packed = {.matrix = entry->packed, .first = index * rows}};
}

Result<TensorExtent> TensorTable::Stack(std::string_view name, int64_t count, int64_t rows,
                                        int64_t cols) const {
  SLUICE_TRY_ASSIGN(const TensorEntry* entry, Find(name, {count, rows, cols}));
  return TensorExtent{.file = entry->file,
                      .offset = entry->offset,
                      .bytes = entry->bytes,
                      .format = entry->format,
                      .rows = count * rows,
                      .cols = cols,
                      .packed = {.matrix = entry->packed}};
}

TensorExtent TensorExtent::Rows(int64_t first, int64_t count) const {
  const uint64_t row_bytes = bytes / static_cast<uint64_t>(rows);
  TensorExtent part = *this;
  part.offset += row_bytes * static_cast<uint64_t>(first);
  part.bytes = row_bytes * static_cast<uint64_t>(count);
  part.rows = count;
  part.packed.first += first * packed.step;
  return part;
}

}  // namespace sluice
