// Which format each matrix of a file gets, as llama.cpp's quantizer divides them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/format.h"

namespace sluice {

// What the division goes by.
enum class MatrixRole {
  kEmbedding,
  kOutput,  // and the embedding where it is the output matrix too
  kAttentionK,
  kAttentionV,  // and matrices that hold V beside others: Q, K and V in one, K and V of a latent
  kAttentionOut,
  kDown,  // of experts, shared experts and dense layers
  kOther
};

struct MatrixPlace {
  MatrixRole role = MatrixRole::kOther;
  int64_t layer = 0;
  int64_t cols = 0;
  bool of_experts = false;  // a stack of experts' matrices
};

// What a model is like, as far as the division asks.
struct ModelSize {
  int64_t layers = 0;
  int64_t experts = 0;
  int64_t heads_per_kv_head = 1;
};

enum class FormatMix {
  kNone,
  kQ2,
  kQ2Small,
  kQ3Medium,
  kQ3Large,
  kQ4Small,
  kMedium,
  kTable,
  kMxfp4
};

struct FileType {
  const char* name = "";       // for --type: "q4_k_m"
  Format base = Format::kF32;  // of most matrices
  uint32_t number = 0;         // general.file_type
  FormatMix mix = FormatMix::kNone;

  bool quantized() const { return Spec(base).block_elements > 1; }
};

// Null where there is none of this name. "q4_k" is "q4_k_m", as for llama.cpp; so are q3_k, q5_k.
const FileType* FindFileType(std::string_view name);
// In the order of --help.
std::vector<std::string_view> FileTypeNames();

// The format of a matrix with rows of place.cols weights.
Format MatrixFormat(const FileType& file, const ModelSize& size, const MatrixPlace& place);

}  // namespace sluice
