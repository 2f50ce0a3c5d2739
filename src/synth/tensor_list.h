// The tensors of a benchmark model in the order of the file, with what each is filled with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quantize/file_type.h"
#include "synth/block_type.h"
#include "synth/model_shape.h"

namespace sluice {

enum class TensorContent {
  kRandom,
  kOnes,       // norms
  kEmbedding,  // random rows that tokens share parts of (synth/token_embedding.h)
};

struct SynthTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost first
  const BlockType* type = nullptr;
  TensorContent content = TensorContent::kRandom;
  double rms = 0;  // of kRandom and kEmbedding
};

std::vector<SynthTensor> ListTensors(const ModelShape& shape, const FileType& file);

}  // namespace sluice
