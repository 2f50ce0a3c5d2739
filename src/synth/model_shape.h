// The shapes that benchmark models come in: what the real model's config.json says.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

enum class SynthQkNorm { kNone, kPerHead, kWhole };
// What the scores of experts are. The sigmoid comes with a bias that chooses and does not weigh.
enum class SynthRouter { kSoftmax, kSigmoid };
enum class SynthTokenizer { kByteLevel, kSentencePiece };

struct ModelShape {
  const char* name;          // for --shape
  const char* architecture;  // GGUF's
  int64_t layers;
  int64_t context;
  int64_t vocab;
  int64_t hidden;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;  // of queries and keys; with a latent without the part that has RoPE
  int64_t experts;   // 0: a dense model, all of whose layers are `dense_ff` wide
  int64_t top_k;
  int64_t expert_ff;
  float rope_base;
  float epsilon;
  SynthTokenizer tokenizer;
  const char* pre_tokenizer;  // byte-level only
  SynthQkNorm qk_norm = SynthQkNorm::kNone;
  bool qkv_bias = false;
  int64_t shared_ff = 0;     // width of the shared experts together
  int64_t shared_count = 0;  // how many they are
  bool shared_gate = false;
  int64_t dense_layers = 0;  // the first layers, without experts
  int64_t dense_ff = 0;      // their width
  // Multi-head latent attention: keys and values come from a vector of `kv_latent`, and `rope_dim`
  // more channels of each key are shared by all heads. 0: ordinary attention.
  int64_t kv_latent = 0;
  int64_t rope_dim = 0;
  // YaRN, where factor is not 0.
  float yarn_factor = 0;
  int64_t yarn_context = 0;
  float yarn_log_multiplier = 0;      // 0: no such key
  const char* ffn_norm = "ffn_norm";  // what GGUF calls the norm before the feed-forward part
  SynthRouter router = SynthRouter::kSoftmax;
  int64_t turned = 0;             // channels of a head that RoPE turns; 0: all
  bool rope_factors = false;      // a tensor divides RoPE's frequencies
  bool layer_norm = false;        // not by the root mean square
  bool joined_qkv = false;        // Q, K and V in one matrix
  float qkv_clamp = 0;            // 0: none
  int64_t window = 0;             // of attention, in layers that have one; 0: none has
  bool sinks_and_biases = false;  // attention sinks; biases of every matrix but the outermost
};

std::span<const ModelShape> AllModelShapes();
// Null where there is none of this name.
const ModelShape* FindModelShape(std::string_view name);

}  // namespace sluice
