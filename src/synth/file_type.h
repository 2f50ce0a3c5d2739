// Which tensor type each matrix of a file gets, as llama.cpp's quantizer divides them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "synth/block_type.h"
#include "synth/model_shape.h"

namespace sluice {

enum class MatrixRole {
  kEmbedding,
  kOutput,
  kAttentionK,
  kAttentionV,
  kAttentionOut,
  kDown,
  kOther
};

struct FileType {
  const char* name;    // for --type: "q4_k_m"
  const char* base;    // the type of most matrices
  uint32_t number;     // general.file_type
  bool mixed = false;  // the _M mixes: more bits for values and down matrices of some layers
};

// Null where there is none of this name.
const FileType* FindFileType(std::string_view name);
// In the order of --help.
std::vector<std::string_view> FileTypeNames();

// The type of a matrix with rows of `cols` weights in layer `layer`.
const BlockType& MatrixType(const FileType& file, const ModelShape& shape, MatrixRole role,
                            int64_t layer, int64_t cols);

}  // namespace sluice
