// Matrices that a Hugging Face directory holds in several tensors: codes, and what makes numbers of
// them. FP8 with scales, GPTQ and AWQ with four bits, MXFP4 as gpt-oss has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/metadata.h"
#include "checkpoint/tensor_table.h"
#include "sluice/status.h"

namespace sluice {

enum class Packing {
  kFp8,    // E4M3 [rows, cols]; a scale for each block of group_rows x group numbers
  kGptq,   // int32 [cols / 8, rows]: eight codes of a column; scales and zeros by group
  kAwq,    // int32 [cols, rows / 8]: eight codes of a row of the transposed matrix, in turns
  kMxfp4,  // two E2M1 codes a byte, a power of two for each 32 of a row
};

// "FP8", "GPTQ", ...
const char* NameOf(Packing packing);

struct PackedMatrix {
  Packing packing = Packing::kFp8;
  std::string name;  // of the matrix
  int64_t rows = 0;  // of all matrices, where several lie under each other
  int64_t cols = 0;
  int64_t group = 0;       // numbers of a row that share a scale
  int64_t group_rows = 1;  // kFp8: rows that do
  int zero_offset = 0;     // kGptq: what is added to a stored zero
  RawTensor codes;
  RawTensor scales;
  RawTensor zeros;  // kGptq and kAwq
  RawTensor order;  // kGptq: the group of each column; none: groups are runs of `group`
};

// Finds them by their names and what config.json says of the quantization, checks their shapes, and
// enters them into the table under the names of the matrices. Fails on a quantization that is not
// known.
Status AddPackedMatrices(const Metadata& config, TensorTable* tensors);

// Rows of one packed extent as floats. Thread-safety: after Load(), DecodeRow() from any thread.
class PackedReader {
 public:
  // Memory that Load() takes.
  static uint64_t BufferBytes(const TensorExtent& extent);

  // REQUIRES: extent.packed.matrix.
  Status Load(const TensorExtent& extent);
  // out: [cols]. Each number is one float32 product of code and scale, as the formats define it.
  void DecodeRow(int64_t row, float* out) const;
  // Where all codes of the matrix count from 8 and groups are runs that 32 divides, it is Q4_0
  // exactly: then writes the row as that.
  bool IsPlainNibbles() const;
  void EncodeRowAsNibbles(int64_t row, std::byte* out) const;

 private:
  int Code(int64_t row, int64_t col) const;
  int Zero(int64_t row, int64_t group) const;
  int64_t GroupOf(int64_t col) const;
  void DecodeFp8(int64_t row, float* out) const;
  void DecodeMxfp4(int64_t row, float* out) const;
  void DecodeInt4(int64_t row, float* out) const;

  const PackedMatrix* matrix_ = nullptr;
  PackedRows rows_;
  int64_t first_row_ = 0;  // of the matrix, that `codes_` begins with
  std::vector<std::byte> codes_;
  std::vector<float> scales_;
  std::vector<uint32_t> zeros_;
  std::vector<int32_t> order_;
};

}  // namespace sluice
