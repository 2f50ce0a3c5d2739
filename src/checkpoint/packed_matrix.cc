// Layouts: FP8 as Qwen3-30B-A3B-FP8 and DeepSeek-V3 have it, GPTQ as AutoGPTQ packs it, AWQ as
// AutoAWQ's GEMM version does, MXFP4 as gpt-oss.
#include "checkpoint/packed_matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "base/fp16.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q4_0.h"

namespace sluice {
namespace {

constexpr int64_t kCodesPerWord = 8;
constexpr int64_t kMxfp4Group = 32;
// Where AWQ keeps column 8 n + i: in nibble kAwqNibble[i] of word n.
constexpr int kAwqNibble[] = {0, 4, 1, 5, 2, 6, 3, 7};

// E4M3 without infinities: sign, 4 bits of exponent, 3 of mantissa.
float Fp8ToF32(uint8_t bits) {
  const float sign = (bits & 0x80U) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * static_cast<float>(mantissa) * 0x1p-9F;
  const auto scale = std::bit_cast<float>(static_cast<uint32_t>(exponent + 120) << 23);
  return sign * (1 + static_cast<float>(mantissa) / 8) * scale;
}

std::string WithoutSuffix(const std::string& name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

class Collector {
 public:
  Collector(const Metadata& config, TensorTable* tensors) : config_(config), tensors_(*tensors) {}

  Status Collect() {
    const std::string prefix = "quantization_config.";
    SLUICE_TRY_ASSIGN(const std::string method, config_.StringOr(prefix + "quant_method", ""));
    if (method.empty()) return {};
    if (method == "fp8") return CollectFp8();
    if (method == "mxfp4") return CollectMxfp4();
    if (method != "gptq" && method != "awq") {
      return UnsupportedError(fmt::format(
          "{}: weights quantized by '{}' are not supported; fp8, gptq, awq and mxfp4 are",
          config_.source(), method));
    }
    SLUICE_TRY_ASSIGN(const int64_t bits, config_.Int(prefix + "bits", 1, 32));
    if (bits != 4) {
      return UnsupportedError(fmt::format("{}: {} with {} bits is not supported; 4 bits are",
                                          config_.source(), method, bits));
    }
    SLUICE_TRY_ASSIGN(const std::string version,
                      config_.StringOr(prefix + "version", method == "awq" ? "gemm" : ""));
    if (method == "awq" && version != "gemm" && version != "GEMM") {
      return UnsupportedError(fmt::format("{}: AWQ's version '{}' is not supported; gemm is",
                                          config_.source(), version));
    }
    SLUICE_TRY_ASSIGN(const std::string format, config_.StringOr(prefix + "checkpoint_format", ""));
    // The first version of GPTQ's format stores zeros less one.
    return CollectInt4(method == "gptq" ? Packing::kGptq : Packing::kAwq,
                       method == "gptq" && format != "gptq_v2" ? 1 : 0);
  }

 private:
  std::vector<std::string> RawNames(std::string_view suffix, std::string_view dtype) const {
    std::vector<std::string> names;
    for (const auto& [name, raw] : tensors_.raw()) {
      if (name.ends_with(suffix) && raw.dtype == dtype) names.push_back(name);
    }
    return names;
  }

  Status Wrong(const std::string& name, const std::vector<int64_t>& shape) const {
    return CorruptError(fmt::format("{}: shape [{}] does not fit the codes beside it", name,
                                    fmt::join(shape, ", ")));
  }

  // A tensor of floats, which from here on is no tensor of its own.
  Result<RawTensor> TakeFloats(const std::string& name) {
    const auto found = tensors_.entries().find(name);
    if (found == tensors_.entries().end()) {
      return NotFoundError(fmt::format("{}: tensor '{}' is missing", config_.source(), name));
    }
    const TensorEntry& entry = found->second;
    RawTensor raw{.file = entry.file,
                  .offset = entry.offset,
                  .bytes = entry.bytes,
                  .dtype = Spec(entry.format).name,
                  .shape = entry.shape};
    tensors_.Remove(name);
    return raw;
  }

  // A tensor of one of these types and this shape, which lies beside the codes.
  Result<RawTensor> FindRaw(const std::string& name, std::initializer_list<std::string_view> dtypes,
                            const std::vector<int64_t>& shape) const {
    const auto found = tensors_.raw().find(name);
    const auto entry = tensors_.entries().find(name);
    std::string_view dtype;
    if (found != tensors_.raw().end()) dtype = found->second.dtype;
    if (entry != tensors_.entries().end()) dtype = Spec(entry->second.format).name;
    if (dtype.empty()) {
      return NotFoundError(fmt::format("{}: tensor '{}' is missing", config_.source(), name));
    }
    if (std::ranges::find(dtypes, dtype) == dtypes.end()) {
      return CorruptError(fmt::format("{}: tensor '{}' is of type {}; it must be {}",
                                      config_.source(), name, dtype, fmt::join(dtypes, " or ")));
    }
    if (found->second.shape != shape) return Wrong(name, found->second.shape);
    return found->second;
  }

  Status Add(PackedMatrix matrix, std::vector<int64_t> shape) {
    return tensors_.InsertPacked(std::move(matrix), std::move(shape));
  }

  Status CollectFp8() {
    for (const std::string& name : RawNames(".weight", "F8_E4M3")) {
      const RawTensor& codes = tensors_.raw().find(name)->second;
      if (codes.shape.size() != 2) return Wrong(name, codes.shape);
      PackedMatrix matrix{.packing = Packing::kFp8,
                          .name = name,
                          .rows = codes.shape[0],
                          .cols = codes.shape[1],
                          .codes = codes};
      const bool inverse = tensors_.Has(name + "_scale_inv");
      SLUICE_TRY_ASSIGN(matrix.scales, TakeFloats(name + (inverse ? "_scale_inv" : "_scale")));
      SLUICE_TRY(SetFp8Groups(&matrix));
      // What activations would be rounded with.
      tensors_.Remove(WithoutSuffix(name, "weight") + "input_scale");
      std::vector<int64_t> shape = codes.shape;
      SLUICE_TRY(Add(std::move(matrix), std::move(shape)));
    }
    return {};
  }

  // One scale for all, one for each row, or one for each block.
  Status SetFp8Groups(PackedMatrix* matrix) const {
    std::vector<int64_t> scales = matrix->scales.shape;
    if (scales.size() == 1) scales.push_back(1);
    matrix->group = matrix->cols;
    matrix->group_rows = scales == std::vector<int64_t>{1, 1} ? matrix->rows : 1;
    if (scales[1] == 1 && (scales[0] == 1 || scales[0] == matrix->rows)) return {};
    SLUICE_TRY_ASSIGN(const auto* block, config_.Ints("quantization_config.weight_block_size"));
    constexpr int64_t kLargestBlock = int64_t{1} << 20;
    const auto fits = [](int64_t size) { return size >= 1 && size <= kLargestBlock; };
    if (block == nullptr || block->size() != 2 || !fits((*block)[0]) || !fits((*block)[1])) {
      return Wrong(matrix->name + "_scale_inv", matrix->scales.shape);
    }
    matrix->group_rows = (*block)[0];
    matrix->group = (*block)[1];
    const std::vector<int64_t> wanted = {
        (matrix->rows + matrix->group_rows - 1) / matrix->group_rows,
        (matrix->cols + matrix->group - 1) / matrix->group};
    return scales == wanted ? Status() : Wrong(matrix->name + "_scale_inv", matrix->scales.shape);
  }

  Status CollectInt4(Packing packing, int zero_offset) {
    for (const std::string& name : RawNames(".qweight", "I32")) {
      const std::string stem = WithoutSuffix(name, "qweight");
      const RawTensor& codes = tensors_.raw().find(name)->second;
      if (codes.shape.size() != 2) return Wrong(name, codes.shape);
      const bool gptq = packing == Packing::kGptq;
      PackedMatrix matrix{.packing = packing,
                          .name = stem + "weight",
                          .rows = gptq ? codes.shape[1] : codes.shape[1] * kCodesPerWord,
                          .cols = gptq ? codes.shape[0] * kCodesPerWord : codes.shape[0],
                          .zero_offset = zero_offset,
                          .codes = codes};
      SLUICE_TRY_ASSIGN(matrix.scales, TakeFloats(stem + "scales"));
      const std::vector<int64_t>& scales = matrix.scales.shape;
      if (scales.size() != 2 || scales[1] != matrix.rows || matrix.cols % scales[0] != 0 ||
          matrix.rows % kCodesPerWord != 0) {
        return Wrong(stem + "scales", scales);
      }
      matrix.group = matrix.cols / scales[0];
      SLUICE_TRY_ASSIGN(matrix.zeros, FindRaw(stem + "qzeros", {"I32", "U32"},
                                              {scales[0], matrix.rows / kCodesPerWord}));
      const std::string order = stem + "g_idx";
      if (gptq && (tensors_.raw().contains(order) || tensors_.Has(order))) {
        SLUICE_TRY_ASSIGN(matrix.order, FindRaw(order, {"I32", "U32"}, {matrix.cols}));
      }
      std::vector<int64_t> shape = {matrix.rows, matrix.cols};
      SLUICE_TRY(Add(std::move(matrix), std::move(shape)));
    }
    return {};
  }

  Status CollectMxfp4() {
    constexpr std::string_view kSuffix = "_blocks";
    for (const std::string& name : RawNames(kSuffix, "U8")) {
      const std::string stem = WithoutSuffix(name, kSuffix);
      const RawTensor& codes = tensors_.raw().find(name)->second;
      if (codes.shape.size() != 4 || codes.shape[3] != kMxfp4Group / 2) {
        return Wrong(name, codes.shape);
      }
      const std::vector<int64_t> wanted(codes.shape.begin(), codes.shape.end() - 1);
      SLUICE_TRY_ASSIGN(RawTensor scales, FindRaw(stem + "_scales", {"U8"}, wanted));
      PackedMatrix matrix{.packing = Packing::kMxfp4,
                          .name = stem,
                          .rows = wanted[0] * wanted[1],
                          .cols = wanted[2] * kMxfp4Group,
                          .group = kMxfp4Group,
                          .codes = codes,
                          .scales = std::move(scales)};
      std::vector<int64_t> shape = {wanted[0], wanted[1], matrix.cols};
      SLUICE_TRY(Add(std::move(matrix), std::move(shape)));
    }
    return {};
  }

  const Metadata& config_;
  TensorTable& tensors_;
};

// A vector that grows takes up to twice what is asked for, and both of them while it copies.
template <typename T>
void ResizeExactly(size_t size, std::vector<T>* out) {
  if (size > out->capacity()) {
    *out = std::vector<T>();
    out->reserve(size);
  }
  out->resize(size);
}

template <typename T>
Status ReadWords(const RawTensor& tensor, std::vector<T>* out) {
  ResizeExactly(tensor.bytes / sizeof(T), out);
  return tensor.file->ReadAt(tensor.offset, std::as_writable_bytes(std::span(*out)));
}

Status ReadFloats(const RawTensor& tensor, std::vector<float>* out) {
  const std::optional<Format> format = FormatByName(tensor.dtype);
  if (!format) return UnsupportedError(tensor.file->name() + ": scales of type " + tensor.dtype);
  std::vector<std::byte> bytes;
  SLUICE_TRY(ReadWords(tensor, &bytes));
  const auto count = static_cast<int64_t>(bytes.size()) / Spec(*format).block_bytes;
  ResizeExactly(static_cast<size_t>(count), out);
  Spec(*format).decode(bytes.data(), count, out->data());
  return {};
}

// Rows of a matrix that an extent reaches over.
int64_t Reach(const TensorExtent& extent) { return (extent.rows - 1) * extent.packed.step + 1; }

bool ByRow(Packing packing) { return packing == Packing::kFp8 || packing == Packing::kMxfp4; }

}  // namespace

const char* NameOf(Packing packing) {
  switch (packing) {
    case Packing::kFp8:
      return "FP8";
    case Packing::kGptq:
      return "GPTQ";
    case Packing::kAwq:
      return "AWQ";
    case Packing::kMxfp4:
      return "MXFP4";
  }
  return "";
}

Status AddPackedMatrices(const Metadata& config, TensorTable* tensors) {
  return Collector(config, tensors).Collect();
}

uint64_t PackedReader::BufferBytes(const TensorExtent& extent) {
  const PackedMatrix& matrix = *extent.packed.matrix;
  const auto reach = static_cast<uint64_t>(Reach(extent));
  const auto rows = static_cast<uint64_t>(matrix.rows);
  if (matrix.packing == Packing::kMxfp4) {
    // The scales are there twice: as bytes and as floats.
    const uint64_t scale_bytes = matrix.scales.bytes * (1 + sizeof(float));
    return (matrix.codes.bytes + scale_bytes) / rows * reach;
  }
  const uint64_t scales = 2 * sizeof(float) * matrix.scales.bytes;
  if (matrix.packing == Packing::kFp8) return matrix.codes.bytes / rows * reach + scales;
  return matrix.codes.bytes + scales + matrix.zeros.bytes + matrix.order.bytes;
}

Status PackedReader::Load(const TensorExtent& extent) {
  rows_ = extent.packed;
  matrix_ = rows_.matrix;
  first_row_ = ByRow(matrix_->packing) ? rows_.first : 0;
  RawTensor codes = matrix_->codes;
  if (ByRow(matrix_->packing)) {
    const uint64_t row_bytes = codes.bytes / static_cast<uint64_t>(matrix_->rows);
    codes.offset += row_bytes * static_cast<uint64_t>(first_row_);
    codes.bytes = row_bytes * static_cast<uint64_t>(Reach(extent));
  }
  SLUICE_TRY(ReadWords(codes, &codes_));
  if (matrix_->packing == Packing::kMxfp4) {
    // The scales, one byte each, behind the codes.
    RawTensor scales = matrix_->scales;
    const uint64_t row_bytes = scales.bytes / static_cast<uint64_t>(matrix_->rows);
    scales.offset += row_bytes * static_cast<uint64_t>(first_row_);
    scales.bytes = row_bytes * static_cast<uint64_t>(Reach(extent));
    std::vector<uint8_t> exponents;
    SLUICE_TRY(ReadWords(scales, &exponents));
    ResizeExactly(exponents.size(), &scales_);
    std::ranges::transform(exponents, scales_.begin(), [](uint8_t e) { return MXFP4::Scale(e); });
    return {};
  }
  SLUICE_TRY(ReadFloats(matrix_->scales, &scales_));
  if (matrix_->packing == Packing::kFp8) return {};
  SLUICE_TRY(ReadWords(matrix_->zeros, &zeros_));
  order_.clear();
  if (matrix_->order.file == nullptr) return {};
  SLUICE_TRY(ReadWords(matrix_->order, &order_));
  const int64_t groups = matrix_->cols / matrix_->group;
  for (const int32_t group : order_) {
    if (group < 0 || group >= groups) {
      return CorruptError(
          fmt::format("{}: g_idx holds {} of {} groups", matrix_->name, group, groups));
    }
  }
  return {};
}

void PackedReader::DecodeRow(int64_t row, float* out) const {
  row = rows_.first + row * rows_.step;
  switch (matrix_->packing) {
    case Packing::kFp8:
      return DecodeFp8(row, out);
    case Packing::kMxfp4:
      return DecodeMxfp4(row, out);
    case Packing::kGptq:
    case Packing::kAwq:
      return DecodeInt4(row, out);
  }
}

void PackedReader::DecodeFp8(int64_t row, float* out) const {
  const int64_t groups = (matrix_->cols + matrix_->group - 1) / matrix_->group;
  const float* scales = &scales_[static_cast<size_t>(row / matrix_->group_rows * groups)];
  const auto* codes =
      reinterpret_cast<const uint8_t*>(codes_.data()) + (row - first_row_) * matrix_->cols;
  for (int64_t c = 0; c < matrix_->cols; ++c) {
    out[c] = Fp8ToF32(codes[c]) * scales[c / matrix_->group];
  }
}

// The low nibble is the number at an even place, the high one its neighbour.
void PackedReader::DecodeMxfp4(int64_t row, float* out) const {
  const int64_t at = row - first_row_;
  const auto* codes = reinterpret_cast<const uint8_t*>(codes_.data()) + at * matrix_->cols / 2;
  const float* scales = &scales_[static_cast<size_t>(at * matrix_->cols / kMxfp4Group)];
  for (int64_t c = 0; c < matrix_->cols; ++c) {
    const int code = (codes[c / 2] >> (c % 2 * 4)) & 15;
    out[c] = scales[c / kMxfp4Group] * static_cast<float>(MXFP4::kTable[code]);
  }
}

int64_t PackedReader::GroupOf(int64_t col) const {
  return order_.empty() ? col / matrix_->group : order_[static_cast<size_t>(col)];
}

int PackedReader::Code(int64_t row, int64_t col) const {
  const auto word = [&](int64_t index) {
    uint32_t bits = 0;
    std::memcpy(&bits, &codes_[static_cast<size_t>(index) * sizeof(bits)], sizeof(bits));
    return bits;
  };
  if (matrix_->packing == Packing::kGptq) {
    const uint32_t bits = word(col / kCodesPerWord * matrix_->rows + row);
    return static_cast<int>((bits >> (col % kCodesPerWord * 4)) & 15U);
  }
  const uint32_t bits = word(col * (matrix_->rows / kCodesPerWord) + row / kCodesPerWord);
  return static_cast<int>((bits >> (kAwqNibble[row % kCodesPerWord] * 4)) & 15U);
}

int PackedReader::Zero(int64_t row, int64_t group) const {
  const uint32_t bits =
      zeros_[static_cast<size_t>(group * (matrix_->rows / kCodesPerWord) + row / kCodesPerWord)];
  const auto place = row % kCodesPerWord;
  const int64_t nibble = matrix_->packing == Packing::kGptq ? place : kAwqNibble[place];
  return static_cast<int>((bits >> (nibble * 4)) & 15U) + matrix_->zero_offset;
}

void PackedReader::DecodeInt4(int64_t row, float* out) const {
  for (int64_t c = 0; c < matrix_->cols; ++c) {
    const int64_t group = GroupOf(c);
    const float scale = scales_[static_cast<size_t>(group * matrix_->rows + row)];
    out[c] = scale * static_cast<float>(Code(row, c) - Zero(row, group));
  }
}

bool PackedReader::IsPlainNibbles() const {
  if (ByRow(matrix_->packing) || matrix_->scales.dtype != Spec(Format::kF16).name) return false;
  if (matrix_->group % Q4_0::kBlockElements != 0) return false;
  for (int64_t c = 0; c < matrix_->cols; ++c) {
    if (GroupOf(c) != c / matrix_->group) return false;
  }
  for (int64_t group = 0; group < matrix_->cols / matrix_->group; ++group) {
    for (int64_t row = 0; row < matrix_->rows; ++row) {
      if (Zero(row, group) != 8) return false;
    }
  }
  return true;
}

void PackedReader::EncodeRowAsNibbles(int64_t row, std::byte* out) const {
  row = rows_.first + row * rows_.step;
  for (int64_t c = 0; c < matrix_->cols; c += Q4_0::kBlockElements) {
    Q4_0::Block block{};
    block.d = F32ToF16(scales_[static_cast<size_t>(c / matrix_->group * matrix_->rows + row)]);
    for (int i = 0; i < 16; ++i) {
      block.q[i] = static_cast<uint8_t>(Code(row, c + i) | (Code(row, c + i + 16) << 4));
    }
    std::memcpy(out, &block, sizeof(block));
    out += sizeof(block);
  }
}

}  // namespace sluice
