// Mixtral: no QK-norm, router renormalised. In GGUF it goes by the name `llama`, with Q and K rows
// permuted for pairwise RoPE.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(const int64_t experts, metadata.IntOr("llama.expert_count", 0, 65536, 0));
  if (experts == 0) {
    return UnsupportedError(metadata.source() +
                            ": a dense Llama model; sluice runs models of experts");
  }
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.moe.renormalise = true;
  spec.attention.rope = RopeLayout::kPairs;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  spec.moe.renormalise = true;
  spec.attention.rope = RopeLayout::kHalves;
  return spec;
}

TensorNames HuggingFaceNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.router = "block_sparse_moe.gate.weight";
  names.expert_gate = "block_sparse_moe.experts.{}.w1.weight";
  names.expert_up = "block_sparse_moe.experts.{}.w3.weight";
  names.expert_down = "block_sparse_moe.experts.{}.w2.weight";
  return names;
}

}  // namespace

extern const Architecture kMixtral;
const Architecture kMixtral = {.gguf_name = "llama",
                               .model_type = "mixtral",
                               .from_gguf = FromGguf,
                               .from_hugging_face = FromHuggingFace,
                               .gguf_names = CommonGgufNames(),
                               .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice
