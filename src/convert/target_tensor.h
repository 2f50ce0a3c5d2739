// The tensors of a GGUF file that is to be written, and what each is made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"
#include "model/model.h"
#include "quantize/file_type.h"

namespace sluice {

struct TargetTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost first
  Format format = Format::kF32;
  std::vector<TensorExtent> parts;  // whose rows follow each other
  // The rows of each of so many heads are paired for RopeLayout::kPairs: half a head further in the
  // parts is the next row here. 0: rows are as they are.
  int64_t paired_heads = 0;
  std::vector<float> values;  // instead of parts

  // As the parts are cut, which may be another way than `shape`: the numbers follow each other.
  int64_t cols() const;
  int64_t rows() const;
  uint64_t bytes() const { return static_cast<uint64_t>(rows() * Spec(format).row_bytes(cols())); }
  // The row of the parts that becomes row `row` here.
  int64_t SourceRow(int64_t row) const;
};

// The tensors of a Hugging Face directory under GGUF's names. `layout`: of RoPE, as the readers of
// the GGUF file have it.
std::vector<TargetTensor> TensorsOfDirectory(const Model& model, const Architecture& architecture,
                                             const FileType& file, RopeLayout layout);
// Those of a GGUF file, in other formats.
std::vector<TargetTensor> TensorsOfGguf(const Model& model, const FileType& file);

// What a tensor of this name is for.
TensorRole RoleOfName(std::string_view name);

}  // namespace sluice
