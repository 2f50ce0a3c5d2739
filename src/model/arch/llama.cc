// Llama, and Mixtral, which is Llama with experts: no QK-norm, router renormalised. In GGUF both go
// by the name `llama`, with Q and K rows permuted for pairwise RoPE, and Llama 3's RoPE scaling is
// a tensor of factors.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.moe.rule.renormalise = true;
  spec.attention.rope.layout = RopeLayout::kPairs;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  spec.moe.rule.renormalise = true;
  return spec;
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.rope_factors = "rope_freqs.weight";
  return names;
}

TensorNames MixtralNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.router = "block_sparse_moe.gate.weight";
  names.expert_gate = "block_sparse_moe.experts.{}.w1.weight";
  names.expert_up = "block_sparse_moe.experts.{}.w3.weight";
  names.expert_down = "block_sparse_moe.experts.{}.w2.weight";
  return names;
}

}  // namespace

extern const Architecture kLlama;
const Architecture kLlama = {.gguf_name = "llama",
                             .model_type = "llama",
                             .from_gguf = FromGguf,
                             .from_hugging_face = FromHuggingFace,
                             .gguf_names = GgufNames(),
                             .hugging_face_names = CommonHuggingFaceNames()};

extern const Architecture kMixtral;
const Architecture kMixtral = {.gguf_name = "llama",
                               .model_type = "mixtral",
                               .from_gguf = FromGguf,
                               .from_hugging_face = FromHuggingFace,
                               .gguf_names = GgufNames(),
                               .hugging_face_names = MixtralNames()};

}  // namespace sluice
