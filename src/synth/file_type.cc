#include "synth/file_type.h"

#include "base/check.h"

namespace sluice {
namespace {

constexpr FileType kFileTypes[] = {
    {"f32", "f32", 0},        {"f16", "f16", 1},
    {"bf16", "bf16", 32},     {"q8_0", "q8_0", 7},
    {"q4_0", "q4_0", 2},      {"q4_1", "q4_1", 3},
    {"q5_0", "q5_0", 8},      {"q5_1", "q5_1", 9},
    {"q2_k", "q2_k", 10},     {"q3_k", "q3_k", 11},
    {"q4_k", "q4_k", 14},     {"q4_k_m", "q4_k", 15, true},
    {"q5_k", "q5_k", 16},     {"q5_k_m", "q5_k", 17, true},
    {"q6_k", "q6_k", 18},     {"iq4_nl", "iq4_nl", 25},
    {"iq4_xs", "iq4_xs", 30}, {"mxfp4", "mxfp4", 38},
};

const BlockType& Named(std::string_view name) {
  const BlockType* type = FindBlockType(name);
  SLUICE_CHECK(type != nullptr);
  return *type;
}

// The first and the last eighth of the layers, and every third between.
bool GetsMoreBits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

const char* WantedType(const FileType& file, const ModelShape& shape, MatrixRole role,
                       int64_t layer) {
  const bool quantized = Named(file.base).gguf.block_elements > 1;
  if (!quantized) return file.base;
  if (role == MatrixRole::kOutput && std::string_view(file.base) != "q8_0") return "q6_k";
  if (!file.mixed) return file.base;
  const bool eight_experts = shape.experts == 8;  // attention is a small part of such models
  switch (role) {
    case MatrixRole::kAttentionK:
      return eight_experts ? "q8_0" : file.base;
    case MatrixRole::kAttentionV:
      if (eight_experts) return "q8_0";
      return GetsMoreBits(layer, shape.layers) ? "q6_k" : file.base;
    case MatrixRole::kAttentionOut:
      return eight_experts ? "q5_k" : file.base;
    case MatrixRole::kDown:
      return GetsMoreBits(layer, shape.layers) ? "q6_k" : file.base;
    default:
      return file.base;
  }
}

}  // namespace

const FileType* FindFileType(std::string_view name) {
  for (const FileType& type : kFileTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::vector<std::string_view> FileTypeNames() {
  std::vector<std::string_view> names;
  for (const FileType& type : kFileTypes) names.emplace_back(type.name);
  return names;
}

const BlockType& MatrixType(const FileType& file, const ModelShape& shape, MatrixRole role,
                            int64_t layer, int64_t cols) {
  const BlockType& wanted = Named(WantedType(file, shape, role, layer));
  return cols % wanted.gguf.block_elements == 0 ? wanted : Named(wanted.fallback);
}

}  // namespace sluice
