// What a model computes, as values: no file, no device. One reader per architecture (arch/*.cc)
// fills it from a checkpoint's metadata.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

enum class QkNorm {
  kNone,
  kPerHead,  // RMS norm of each head on its own, weights [head_dim] (Qwen3)
  kWhole,    // of the whole projection before it is cut into heads (OLMoE)
};

enum class RopeLayout {
  kHalves,  // x[i] with x[i + head_dim / 2]
  kPairs,   // x[2i] with x[2i + 1]: GGUF's llama family, whose Q and K rows are permuted
};

// Grouped-query attention.
struct Gqa {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  QkNorm qk_norm = QkNorm::kNone;
  RopeLayout rope = RopeLayout::kHalves;
  float rope_theta = 10000;
};

// Mixture of experts: softmax router, SwiGLU experts.
struct MoeFfn {
  int64_t experts = 0;
  int64_t top_k = 0;
  int64_t ff = 0;            // inner width of one expert
  bool renormalise = false;  // the chosen weights are divided by their sum
};

struct ModelSpec {
  std::string architecture;  // GGUF's name, or model_type
  std::string name;          // what the file calls itself; may be empty
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t vocab = 0;    // rows of the embedding; may exceed the tokenizer's tokens
  int64_t context = 0;  // longest sequence that the model was made for
  float rms_epsilon = 1e-6F;
  bool tied_embeddings = false;
  Gqa attention;
  MoeFfn moe;
};

}  // namespace sluice
