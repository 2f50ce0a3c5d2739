// What a model computes, as values: no file, no device. One reader per architecture (arch/*.cc)
// fills it from a checkpoint's metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/rope.h"
#include "routing/router_rule.h"
#include "tensor/ffn_activation.h"

namespace sluice {

enum class NormKind {
  kRms,
  kLayer,  // subtracts the mean; no bias (DBRX)
};

enum class QkNorm {
  kNone,
  kPerHead,           // RMS norm of each head on its own, weights [head_dim] (Qwen3)
  kWhole,             // of the whole projection before it is cut into heads (OLMoE)
  kPerHeadIfPresent,  // as the tensors say; a model that is open has one of the others
};

enum class RopeLayout {
  kHalves,  // x[i] with x[i + dims / 2]
  kPairs,   // x[2i] with x[2i + 1]: GGUF's llama family, whose Q and K rows are permuted
};

struct Rope {
  RopeLayout layout = RopeLayout::kHalves;
  float theta = 10000;
  // Radians per position of each pair, [dims / 2]: the first `dims` numbers of a head turn, of
  // latent attention the last. All kinds of scaling are in here (rope.h).
  std::vector<float> frequencies;
  float magnitude = 1;           // of cosine and sine: YaRN's attention factor
  std::string scaling = "none";  // its kind
  double factor = 1;             // and how far it stretches
  // What `frequencies` were made with, as Hugging Face's files say it.
  std::optional<Yarn> yarn;
  std::optional<Llama3Scaling> llama3;

  int64_t dims() const { return 2 * static_cast<int64_t>(frequencies.size()); }
};

// Multi-head latent attention (DeepSeek-V2): the cache holds one latent vector and one rotated key
// per token, for all heads; matrices of each head make keys and values of it.
struct Latent {
  int64_t q_rank = 0;     // queries come from a latent vector of this size; 0: from one matrix
  int64_t kv_rank = 0;    // of keys and values
  int64_t nope_dim = 0;   // numbers of a query and key head that do not turn
  int64_t value_dim = 0;  // numbers of a value head
};

struct Attention {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;  // of a query; of latent attention nope_dim + rope.dims()
  QkNorm qk_norm = QkNorm::kNone;
  Rope rope;
  float scale = 0;  // of the scores
  float clamp = 0;  // queries, keys and values are clamped to [-clamp, clamp]; 0: they are not
  // Of each layer: how many positions a token sees, its own included; 0: all. Empty: all.
  std::vector<int64_t> windows;
  std::optional<Latent> latent;

  int64_t window(int64_t layer) const {
    return windows.empty() ? 0 : windows[static_cast<size_t>(layer)];
  }
  // A token's keys as they are cached, and its values, if they are.
  int64_t cached_heads() const { return latent ? 1 : kv_heads; }
  int64_t cached_key_dim() const { return latent ? latent->kv_rank + rope.dims() : head_dim; }
  int64_t cached_value_dim() const { return latent ? latent->kv_rank : head_dim; }
  // What a head hands to the output matrix.
  int64_t value_dim() const { return latent ? latent->value_dim : head_dim; }
};

// Mixture of experts. Without experts a model is dense.
struct MoeFfn {
  int64_t experts = 0;
  int64_t top_k = 0;
  int64_t ff = 0;  // inner width of one expert
  RouterRule rule;
  FfnActivation activation = FfnActivation::kSwiGlu;
  // Experts that every token goes through, as one network of this inner width; 0: none.
  int64_t shared_ff = 0;
};

struct ModelSpec {
  std::string architecture;  // GGUF's name, or model_type
  std::string name;          // what the file calls itself; may be empty
  int64_t layers = 0;
  // The first layers have one feed-forward network instead of experts; in a dense model all have.
  int64_t dense_layers = 0;
  int64_t dense_ff = 0;  // its inner width
  // Layers behind the last that guess further tokens: in the file, and not computed.
  int64_t unused_layers = 0;
  int64_t hidden = 0;
  int64_t vocab = 0;    // rows of the embedding; may exceed the tokenizer's tokens
  int64_t context = 0;  // longest sequence that the model was made for
  NormKind norm = NormKind::kRms;
  float norm_epsilon = 1e-6F;
  bool tied_embeddings = false;
  Attention attention;
  MoeFfn moe;

  // Layers with experts are counted on their own, from 0, wherever experts are (ExpertId, traces,
  // policies): layer `dense_layers` of the model is their first.
  int64_t moe_layers() const { return layers - dense_layers; }
  bool has_experts() const { return moe_layers() > 0; }
};

}  // namespace sluice
