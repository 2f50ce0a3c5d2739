// Where each tensor of a model lies: name -> file, offset, shape, format. Checked when it is made:
// every range lies inside its file and has exactly the bytes that shape and format demand.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "sluice/status.h"
#include "tensor/format.h"

namespace sluice {

// The most tensors that a file may hold.
inline constexpr size_t kMaxTensors = size_t{1} << 20;

// How a matrix lies in a range of bytes.
struct MatrixOrder {
  enum Kind {
    kRows,     // row after row
    kColumns,  // transposed: column after column
  };
  Kind kind = kRows;
  // kColumns only: a stored column has numbers of other matrices too. Row r of this one is number
  // first + r * step.
  int64_t first = 0;
  int64_t step = 1;
};

struct PackedMatrix;  // checkpoint/packed_matrix.h

// Rows of a matrix that lies in several tensors: first, first + step, ...
struct PackedRows {
  const PackedMatrix* matrix = nullptr;  // null: an ordinary one
  int64_t first = 0;
  int64_t step = 1;
};

// A range of bytes of a file that holds a matrix [rows, cols].
struct TensorExtent {
  const File* file = nullptr;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  Format format = Format::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  MatrixOrder order;
  PackedRows packed;  // then the numbers are not in these bytes; `format` is F32

  // `count` rows from `first` on. REQUIRES: they are there, in order of rows.
  TensorExtent Rows(int64_t first, int64_t count) const;
};

struct TensorEntry {
  const File* file = nullptr;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  Format format = Format::kF32;
  std::vector<int64_t> shape;  // outermost first, as in PyTorch: the last dimension is contiguous
  const PackedMatrix* packed = nullptr;
};

// A tensor whose type is no weight format: codes of something else.
struct RawTensor {
  const File* file = nullptr;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::string dtype;  // as safetensors call it
  std::vector<int64_t> shape;
};

class TensorTable {
 public:
  TensorTable();
  ~TensorTable();
  TensorTable(const TensorTable&) = delete;
  TensorTable& operator=(const TensorTable&) = delete;
  TensorTable(TensorTable&&) noexcept;
  TensorTable& operator=(TensorTable&&) noexcept;

  // Takes the file over; the entries that Insert gets may point to it.
  const File* AddFile(std::unique_ptr<File> file);
  const std::vector<std::unique_ptr<File>>& files() const { return files_; }

  // Fails on a duplicate name, a shape that does not fit the format, a product that overflows, and
  // a range that leaves the file. Sets entry.bytes from shape and format.
  Status Insert(const std::string& name, TensorEntry entry);

  // Tensors that are no weights by themselves. The caller has checked that they lie in their file.
  void InsertRaw(const std::string& name, RawTensor tensor) {
    raw_.emplace(name, std::move(tensor));
  }
  const std::map<std::string, RawTensor, std::less<>>& raw() const { return raw_; }
  // A matrix that several tensors make, with matrix.name and `shape`. Fails on a duplicate name.
  Status InsertPacked(PackedMatrix matrix, std::vector<int64_t> shape);
  bool has_packed() const { return !packed_.empty(); }
  // No more in the table, if it was.
  void Remove(const std::string& name) { entries_.erase(name); }

  bool Has(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  const std::map<std::string, TensorEntry, std::less<>>& entries() const { return entries_; }
  // "FILE: tensor 'NAME'" of the tensor that the extent is in, for messages. Takes as long as
  // looking at all of them.
  std::string Describe(const TensorExtent& extent) const;

  // The tensor as a matrix [rows, cols]; a vector is one row. Fails if it is missing or has another
  // shape.
  Result<TensorExtent> Matrix(std::string_view name, int64_t rows, int64_t cols) const;
  // Slice `index` of a tensor [count, rows, cols] or [count * rows, cols].
  Result<TensorExtent> Slice(std::string_view name, int64_t index, int64_t count, int64_t rows,
                             int64_t cols) const;
  // All slices of a tensor [count, rows, cols] as one matrix [count * rows, cols].
  Result<TensorExtent> Stack(std::string_view name, int64_t count, int64_t rows,
                             int64_t cols) const;

 private:
  Result<const TensorEntry*> Find(std::string_view name, const std::vector<int64_t>& shape) const;

  std::vector<std::unique_ptr<File>> files_;
  std::map<std::string, TensorEntry, std::less<>> entries_;
  std::map<std::string, RawTensor, std::less<>> raw_;
  std::vector<std::unique_ptr<PackedMatrix>> packed_;
};

}  // namespace sluice
