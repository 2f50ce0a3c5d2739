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

// Of a row as the source has it.
uint64_t RawRowBytes(const TargetTensor& tensor) {
  uint64_t raw = 0;
  for (const TensorExtent& part : tensor.parts) {
    if (!IsTurned(part) && !IsPacked(part)) raw = std::max(raw, RowBytes(part.format, part.cols));
  }
  return raw;
}

// Memory of one row on its way: as it was, as floats, as it will be, and whether it was taken over.
uint64_t RowBufferBytes(const TargetTensor& tensor) {
  return RawRowBytes(tensor) + static_cast<uint64_t>(tensor.cols()) * sizeof(float) +
         RowBytes(tensor.format, tensor.cols()) + 1;
}

// Of parts that lie transposed, which are read whole.
uint64_t TurnedBytes(const TargetTensor& tensor) {
  uint64_t most = 0;
  for (const TensorExtent& part : tensor.parts) {
    if (IsTurned(part)) most = std::max(most, part.bytes);
  }
  return most;
}

uint64_t WholePartBytes(const TargetTensor& tensor) {
  uint64_t most = TurnedBytes(tensor);
  for (const TensorExtent& part : tensor.parts) {
    if (IsPacked(part)) most = std::max(most, PackedReader::BufferBytes(part));
  }
  return most;
}

bool AllFinite(std::span<const float> numbers) {
  return std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
}

Status NotFinite(const TargetTensor& tensor, int64_t row) {
  const File* file = tensor.parts.empty() ? nullptr : tensor.parts.front().file;
  return CorruptError(
      fmt::format("{}: row {} of what becomes '{}' holds a number that is not finite",
                  file == nullptr ? "" : file->name(), row, tensor.name));
}

}  // namespace

uint64_t TensorWriter::LeastBufferBytes(const TargetTensor& tensor) {
  return WholePartBytes(tensor) + RowBufferBytes(tensor);
}

Status TensorWriter::Write(const TargetTensor& tensor, uint64_t skip,
                           const std::function<Status(uint64_t)>& advance) {
  const uint64_t row_bytes = RowBytes(tensor.format, tensor.cols());
  const uint64_t room = (buffer_bytes_ - WholePartBytes(tensor)) / RowBufferBytes(tensor);
  const int64_t at_once = std::clamp<int64_t>(static_cast<int64_t>(room), 1, tensor.rows());
  SLUICE_TRY(CutBuffer(tensor, at_once));
  const std::span<std::byte> all_encoded = encoded_;
  auto row = static_cast<int64_t>(skip / row_bytes);
  skip %= row_bytes;
  while (row < tensor.rows()) {
    const int64_t count = std::min(at_once, tensor.rows() - row);
    encoded_ = all_encoded.first(static_cast<size_t>(count) * row_bytes);
    if (IsCopy(tensor)) {
      SLUICE_TRY(CopyRows(tensor, row, count));
      SLUICE_TRY(CheckCopied(tensor, row, count));
    } else {
      SLUICE_TRY(ReadRows(tensor, row, count));
      SLUICE_TRY(Encode(tensor, row, count));
    }
    const std::span<const std::byte> bytes = encoded_.subspan(skip);
    SLUICE_TRY(out_.Write(bytes));
    SLUICE_TRY(advance(bytes.size()));
    skip = 0;
    row += count;
  }
  return {};
}

Status TensorWriter::CutBuffer(const TargetTensor& tensor, int64_t rows) {
  constexpr uint64_t kAlignment = 64;
  const auto padded = [](uint64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  };
  const auto count = static_cast<uint64_t>(rows);
  const uint64_t floats = count * static_cast<uint64_t>(tensor.cols());
  const uint64_t raw_bytes = count * RawRowBytes(tensor);
  const uint64_t encoded_bytes = count * RowBytes(tensor.format, tensor.cols());
  const uint64_t turned_bytes = TurnedBytes(tensor);
  loaded_part_ = nullptr;
  packed_ = PackedReader();
  buffer_ = PageBuffer();  // gone before the next one comes
  SLUICE_TRY_ASSIGN(buffer_, PageBuffer::Allocate(padded(turned_bytes) + padded(raw_bytes) +
                                                      padded(floats * sizeof(float)) +
                                                      padded(encoded_bytes) + padded(count),
                                                  "rows of " + tensor.name));
  std::byte* at = buffer_.data();
  const auto cut = [&](uint64_t bytes) {
    const std::span<std::byte> piece(at, bytes);
    at += padded(bytes);
    return piece;
  };
  turned_ = cut(turned_bytes);
  raw_ = cut(raw_bytes);
  floats_ = {reinterpret_cast<float*>(cut(floats * sizeof(float)).data()), floats};
  encoded_ = cut(encoded_bytes);
  taken_over_ = cut(count);
  return {};
}

// Fills floats_ with `count` rows.
Status TensorWriter::ReadRows(const TargetTensor& tensor, int64_t first, int64_t count) {
  std::ranges::fill(taken_over_, std::byte{0});
  if (tensor.parts.empty()) {
    std::ranges::copy(tensor.values, floats_.begin());
    return {};
  }
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
  const std::span<std::byte> raw = raw_.first(static_cast<size_t>(count) * row_bytes);
  const auto offset = [&](int64_t row) {
    return part.offset + static_cast<uint64_t>(tensor.SourceRow(row) - part_begin) * row_bytes;
  };
  if (tensor.paired_heads == 0) {
    SLUICE_TRY(part.file->ReadAt(offset(first), raw));
  } else {
    for (int64_t r = 0; r < count; ++r) {
      SLUICE_TRY(part.file->ReadAt(offset(first + r),
                                   raw.subspan(static_cast<size_t>(r) * row_bytes, row_bytes)));
    }
  }
  const FormatSpec& spec = Spec(part.format);
  pool_.ParallelFor(count, [&](int64_t r) {
    spec.decode(&raw[static_cast<size_t>(r) * row_bytes], part.cols / spec.block_elements,
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
    taken_over_[at] = std::byte{take_over};
  });
  return {};
}

Status TensorWriter::ReadTurned(const TensorExtent& part, int64_t first, int64_t count,
                                float* out) {
  if (loaded_part_ != &part) {
    SLUICE_TRY(part.file->ReadAt(part.offset, turned_.first(part.bytes)));
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
      const std::span<std::byte> to = encoded_.subspan(static_cast<size_t>(row - first) * row_bytes,
                                                       static_cast<size_t>(step) * row_bytes);
      SLUICE_TRY(part.file->ReadAt(part.offset + from, to));
    }
    part_begin += part.rows;
  }
  return {};
}

// floats_ to encoded_, and back: what is read from the file has to be a number, too.
Status TensorWriter::Encode(const TargetTensor& tensor, int64_t first, int64_t count) {
  const int64_t cols = tensor.cols();
  const FormatSpec& spec = Spec(tensor.format);
  const int64_t blocks = cols / spec.block_elements;
  std::atomic<int64_t> bad_row{-1};
  std::atomic<int64_t> too_large{-1};
  pool_.ParallelFor(count, [&](int64_t r) {
    const std::span<float> row =
        floats_.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
    std::byte* encoded = &encoded_[static_cast<size_t>(r * spec.row_bytes(cols))];
    const bool taken_over = taken_over_[static_cast<size_t>(r)] != std::byte{0};
    if (!taken_over) {
      if (!AllFinite(row)) return bad_row.store(first + r);
      Quantize(tensor.format, row.data(), blocks, encoded);
    }
    spec.decode(encoded, blocks, row.data());
    if (!AllFinite(row)) (taken_over ? bad_row : too_large).store(first + r);
  });
  if (bad_row.load() >= 0) return NotFinite(tensor, bad_row.load());
  if (too_large.load() < 0) return {};
  return UnsupportedError(
      fmt::format("{}: row {} of what becomes '{}' holds a number too large for {}; use another "
                  "--type: f32 and bf16 hold any",
                  tensor.parts.empty() ? "" : tensor.parts.front().file->name(), too_large.load(),
                  tensor.name, spec.name));
}

// Only floats: their decoding costs next to nothing.
Status TensorWriter::CheckCopied(const TargetTensor& tensor, int64_t first, int64_t count) {
  const FormatSpec& spec = Spec(tensor.format);
  if (spec.block_elements > 1) return {};
  const int64_t cols = tensor.cols();
  std::atomic<int64_t> bad_row{-1};
  pool_.ParallelFor(count, [&](int64_t r) {
    const std::span<float> row =
        floats_.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
    spec.decode(&encoded_[static_cast<size_t>(r * spec.row_bytes(cols))], cols, row.data());
    if (!AllFinite(row)) bad_row.store(first + r);
  });
  return bad_row.load() < 0 ? Status() : NotFinite(tensor, bad_row.load());
}

}  // namespace sluice
