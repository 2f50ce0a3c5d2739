// Rows are independent: which thread encodes one, and how many are held at once, never shows.
#include "convert/tensor_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "quantize/quantize.h"

namespace sluice {
namespace {

bool IsPacked(const TensorExtent& part) { return part.packed.matrix != nullptr; }
bool IsTurned(const TensorExtent& part) { return part.order.kind == MatrixOrder::kColumns; }

uint64_t RowBytes(Format format, int64_t cols) {
  return static_cast<uint64_t>(Spec(format).row_bytes(cols));
}

// Whether the rows of the source are what the file shall have.
bool IsCopy(const TargetTensor& tensor) {
  return !tensor.parts.empty() && std::ranges::all_of(tensor.parts, [&](const TensorExtent& part) {
    return part.format == tensor.format && !IsTurned(part) && !IsPacked(part);
  });
}

// Memory of one row on its way.
uint64_t RowBufferBytes(const TargetTensor& tensor) {
  uint64_t raw = 0;
  for (const TensorExtent& part : tensor.parts) {
    if (!IsTurned(part) && !IsPacked(part)) raw = std::max(raw, RowBytes(part.format, part.cols));
  }
  return raw + static_cast<uint64_t>(tensor.cols()) * sizeof(float) +
         RowBytes(tensor.format, tensor.cols());
}

// Of parts that are read whole.
uint64_t WholePartBytes(const TargetTensor& tensor) {
  uint64_t most = 0;
  for (const TensorExtent& part : tensor.parts) {
    if (IsTurned(part)) most = std::max(most, part.bytes);
    if (IsPacked(part)) most = std::max(most, PackedReader::BufferBytes(part));
  }
  return most;
}

}  // namespace

uint64_t TensorWriter::LeastBufferBytes(const TargetTensor& tensor) {
  return WholePartBytes(tensor) + RowBufferBytes(tensor);
}

Status TensorWriter::Write(const TargetTensor& tensor, uint64_t skip,
                           const std::function<Status(uint64_t)>& advance) {
  const uint64_t row_bytes = RowBytes(tensor.format, tensor.cols());
  const uint64_t room = (buffer_bytes_ - WholePartBytes(tensor)) / RowBufferBytes(tensor);
  const int64_t at_once = std::max<int64_t>(static_cast<int64_t>(room), 1);
  loaded_part_ = nullptr;
  auto row = static_cast<int64_t>(skip / row_bytes);
  skip %= row_bytes;
  while (row < tensor.rows()) {
    const int64_t count = std::min(at_once, tensor.rows() - row);
    encoded_.resize(static_cast<size_t>(count) * row_bytes);
    if (IsCopy(tensor)) {
      SLUICE_TRY(CopyRows(tensor, row, count));
    } else {
      SLUICE_TRY(ReadRows(tensor, row, count));
      SLUICE_TRY(Encode(tensor, row, count));
    }
    const std::span<const std::byte> bytes = std::span(encoded_).subspan(skip);
    SLUICE_TRY(out_.Write(bytes));
    SLUICE_TRY(advance(bytes.size()));
    skip = 0;
    row += count;
  }
  return {};
}

// Fills floats_ with `count` rows.
Status TensorWriter::ReadRows(const TargetTensor& tensor, int64_t first, int64_t count) {
  if (tensor.parts.empty()) {
    floats_ = tensor.values;
    taken_over_.assign(1, 0);
    return {};
  }
  floats_.resize(static_cast<size_t>(count * tensor.cols()));
  taken_over_.assign(static_cast<size_t>(count), 0);
  int64_t part_begin = 0;
  for (const TensorExtent& part : tensor.parts) {
    const int64_t begin = std::max(first, part_begin);
    const int64_t end = std::min(first + count, part_begin + part.rows);
    if (begin < end) {
      float* out = &floats_[static_cast<size_t>((begin - first) * tensor.cols())];
      if (IsPacked(part)) {
        SLUICE_TRY(ReadPacked(tensor, part, part_begin, begin, end - begin, out));
      } else if (IsTurned(part)) {
        SLUICE_TRY(ReadTurned(part, begin - part_begin, end - begin, out));
      } else {
        SLUICE_TRY(ReadPart(tensor, part, part_begin, begin, end - begin, out));
      }
    }
    part_begin += part.rows;
  }
  return {};
}

// Rows [first, first + count) of the tensor, all of which lie in `part`.
Status TensorWriter::ReadPart(const TargetTensor& tensor, const TensorExtent& part,
                              int64_t part_begin, int64_t first, int64_t count, float* out) {
  const uint64_t row_bytes = RowBytes(part.format, part.cols);
  raw_.resize(static_cast<size_t>(count) * row_bytes);
  const auto offset = [&](int64_t row) {
    return part.offset + static_cast<uint64_t>(tensor.SourceRow(row) - part_begin) * row_bytes;
  };
  if (tensor.paired_heads == 0) {
    SLUICE_TRY(part.file->ReadAt(offset(first), raw_));
  } else {
    for (int64_t r = 0; r < count; ++r) {
      SLUICE_TRY(part.file->ReadAt(
          offset(first + r),
          std::span(raw_).subspan(static_cast<size_t>(r) * row_bytes, row_bytes)));
    }
  }
  const FormatSpec& spec = Spec(part.format);
  pool_.ParallelFor(count, [&](int64_t r) {
    spec.decode(&raw_[static_cast<size_t>(r) * row_bytes], part.cols / spec.block_elements,
                out + r * part.cols);
  });
  return {};
}

Status TensorWriter::LoadPacked(const TensorExtent& part) {
  if (loaded_part_ == &part) return {};
  loaded_part_ = nullptr;
  SLUICE_TRY(packed_.Load(part));
  packed_is_plain_ = packed_.IsPlainNibbles();
  loaded_part_ = &part;
  return {};
}

Status TensorWriter::ReadPacked(const TargetTensor& tensor, const TensorExtent& part,
                                int64_t part_begin, int64_t first, int64_t count, float* out) {
  SLUICE_TRY(LoadPacked(part));
  const bool take_over = packed_is_plain_ && tensor.format == Format::kQ4_0;
  const uint64_t row_bytes = RowBytes(tensor.format, tensor.cols());
  const auto begin = static_cast<size_t>((out - floats_.data()) / tensor.cols());
  pool_.ParallelFor(count, [&](int64_t r) {
    const int64_t row = tensor.SourceRow(first + r) - part_begin;
    const size_t at = begin + static_cast<size_t>(r);
    take_over ? packed_.EncodeRowAsNibbles(row, &encoded_[at * row_bytes])
              : packed_.DecodeRow(row, out + r * part.cols);
    taken_over_[at] = take_over ? 1 : 0;
  });
  return {};
}

Status TensorWriter::ReadTurned(const TensorExtent& part, int64_t first, int64_t count,
                                float* out) {
  if (loaded_part_ != &part) {
    turned_.resize(part.bytes);
    SLUICE_TRY(part.file->ReadAt(part.offset, turned_));
    loaded_part_ = &part;
  }
  const FormatSpec& spec = Spec(part.format);
  const auto stored_row = static_cast<int64_t>(part.bytes) / part.cols / spec.block_bytes;
  pool_.ParallelFor(count, [&](int64_t r) {
    const int64_t at = part.order.first + (first + r) * part.order.step;
    for (int64_t c = 0; c < part.cols; ++c) {
      spec.decode(&turned_[static_cast<size_t>((c * stored_row + at) * spec.block_bytes)], 1,
                  out + r * part.cols + c);
    }
  });
  return {};
}

Status TensorWriter::CopyRows(const TargetTensor& tensor, int64_t first, int64_t count) {
  const uint64_t row_bytes = RowBytes(tensor.format, tensor.cols());
  int64_t part_begin = 0;
  for (const TensorExtent& part : tensor.parts) {
    const int64_t begin = std::max(first, part_begin);
    const int64_t end = std::min(first + count, part_begin + part.rows);
    // Rows that change places are read one by one.
    const int64_t step = tensor.paired_heads == 0 ? std::max<int64_t>(end - begin, 1) : 1;
    for (int64_t row = begin; row < end; row += step) {
      const auto from = static_cast<uint64_t>(tensor.SourceRow(row) - part_begin) * row_bytes;
      const std::span<std::byte> to = std::span(encoded_).subspan(
          static_cast<size_t>(row - first) * row_bytes, static_cast<size_t>(step) * row_bytes);
      SLUICE_TRY(part.file->ReadAt(part.offset + from, to));
    }
    part_begin += part.rows;
  }
  return {};
}

// floats_ to encoded_.
Status TensorWriter::Encode(const TargetTensor& tensor, int64_t first, int64_t count) {
  const int64_t cols = tensor.cols();
  const uint64_t row_bytes = RowBytes(tensor.format, cols);
  std::atomic<int64_t> bad_row{-1};
  pool_.ParallelFor(count, [&](int64_t r) {
    if (taken_over_[static_cast<size_t>(r)] != 0) return;
    const float* row = &floats_[static_cast<size_t>(r * cols)];
    if (!std::all_of(row, row + cols, [](float x) { return std::isfinite(x); })) {
      bad_row.store(first + r);
      return;
    }
    Quantize(tensor.format, row, cols / Spec(tensor.format).block_elements,
             &encoded_[static_cast<size_t>(r) * row_bytes]);
  });
  if (bad_row.load() < 0) return {};
  const File* file = tensor.parts.empty() ? nullptr : tensor.parts.front().file;
  return CorruptError(
      fmt::format("{}: row {} of what becomes '{}' holds a number that is not finite",
                  file == nullptr ? "" : file->name(), bad_row.load(), tensor.name));
}

}  // namespace sluice
