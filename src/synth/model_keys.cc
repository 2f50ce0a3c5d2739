#include "synth/model_keys.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

// GGUF's token types.
constexpr int32_t kNormal = 1;
constexpr int32_t kUnknown = 2;
constexpr int32_t kControl = 3;
constexpr int32_t kUnused = 5;
constexpr int32_t kByte = 6;

std::string Utf8(uint32_t point) {
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0U | (point >> 6)), static_cast<char>(0x80U | (point & 63U))};
}

// GPT-2's printable stand-in for a byte: itself where it is printable, else 256 and up in order.
std::vector<std::string> ByteCharacters() {
  std::vector<std::string> characters;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    characters.push_back(Utf8(printable ? byte : next++));
  }
  return characters;
}

void FillUnused(size_t count, std::vector<std::string>* tokens, std::vector<int32_t>* types) {
  while (tokens->size() < count) {
    tokens->push_back(fmt::format("[unused{}]", tokens->size()));
    types->push_back(kUnused);
  }
}

void WriteByteLevel(const ModelShape& shape, GgufWriter* out) {
  const std::vector<std::string> bytes = ByteCharacters();
  std::vector<std::string> tokens = bytes;
  std::vector<std::string> merges;
  // Pairs of lower-case letters, and a space before one: enough to be an encoding.
  std::string letters = " etaoinshrdlu";
  for (const char first : letters) {
    for (const char second : letters.substr(1)) {
      const std::string& left = bytes[static_cast<unsigned char>(first)];
      const std::string& right = bytes[static_cast<unsigned char>(second)];
      if (static_cast<int64_t>(tokens.size()) >= shape.vocab - kControlTokens) break;
      tokens.push_back(left + right);
      merges.push_back(left);
      merges.back().append(" ").append(right);
    }
  }
  std::vector<int32_t> types(tokens.size(), kNormal);
  FillUnused(static_cast<size_t>(shape.vocab - kControlTokens), &tokens, &types);
  const auto end = static_cast<uint32_t>(tokens.size());
  tokens.emplace_back("<|endoftext|>");
  tokens.emplace_back("<|im_end|>");
  types.insert(types.end(), kControlTokens, kControl);
  out->AddString("tokenizer.ggml.model", "gpt2");
  out->AddString("tokenizer.ggml.pre", shape.pre_tokenizer);
  out->AddStrings("tokenizer.ggml.tokens", tokens);
  out->AddI32s("tokenizer.ggml.token_type", types);
  out->AddStrings("tokenizer.ggml.merges", merges);
  out->AddU32("tokenizer.ggml.bos_token_id", end);
  out->AddU32("tokenizer.ggml.eos_token_id", end);
  out->AddU32("tokenizer.ggml.padding_token_id", end);
  out->AddBool("tokenizer.ggml.add_bos_token", false);
}

void WriteSentencePiece(const ModelShape& shape, GgufWriter* out) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {kUnknown, kControl, kControl};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(fmt::format("<0x{:02X}>", byte));
    types.push_back(kByte);
  }
  tokens.emplace_back("\xE2\x96\x81");  // the mark of a space
  for (char c = 'a'; c <= 'z'; ++c) tokens.emplace_back(1, c);
  types.resize(tokens.size(), kNormal);
  FillUnused(static_cast<size_t>(shape.vocab), &tokens, &types);
  std::vector<float> scores;
  for (size_t i = 0; i < tokens.size(); ++i) scores.push_back(-static_cast<float>(i));
  out->AddString("tokenizer.ggml.model", "llama");
  out->AddString("tokenizer.ggml.pre", "default");
  out->AddStrings("tokenizer.ggml.tokens", tokens);
  out->AddF32s("tokenizer.ggml.scores", scores);
  out->AddI32s("tokenizer.ggml.token_type", types);
  out->AddU32("tokenizer.ggml.bos_token_id", 1);
  out->AddU32("tokenizer.ggml.eos_token_id", 2);
  out->AddU32("tokenizer.ggml.unknown_token_id", 0);
  out->AddBool("tokenizer.ggml.add_bos_token", true);
}

void WriteExpertKeys(const ModelShape& shape, const std::string& prefix, GgufWriter* out) {
  const auto number = [&](const char* key, int64_t value) {
    out->AddU32(prefix + key, static_cast<uint32_t>(value));
  };
  number("expert_count", shape.experts);
  number("expert_used_count", shape.top_k);
  if (std::string_view(shape.architecture) != "llama") {
    number("expert_feed_forward_length", shape.expert_ff);
  }
  if (shape.dense_layers > 0) number("leading_dense_block_count", shape.dense_layers);
  if (shape.shared_gate) {
    number("expert_shared_feed_forward_length", shape.shared_ff);
  } else if (shape.shared_count > 0) {
    // GGUF's numbers of the two.
    const bool sigmoid = shape.router == SynthRouter::kSigmoid;
    number("expert_shared_count", shape.shared_count);
    out->AddF32(prefix + "expert_weights_scale", 1);
    out->AddBool(prefix + "expert_weights_norm", sigmoid);
    number("expert_gating_func", sigmoid ? 2 : 1);
  }
}

}  // namespace

void WriteShapeKeys(const ModelShape& shape, const FileType& file, GgufWriter* out) {
  const std::string prefix = std::string(shape.architecture) + ".";
  const auto number = [&](const char* key, int64_t value) {
    out->AddU32(prefix + key, static_cast<uint32_t>(value));
  };
  out->AddString("general.type", "model");
  out->AddString("general.name",
                 fmt::format("{}, {} layers of random weights", shape.name, shape.layers));
  out->AddU32("general.file_type", file.number);
  if (file.quantized()) {
    out->AddU32("general.quantization_version", 2);
  }
  number("block_count", shape.layers);
  number("context_length", shape.context);
  number("vocab_size", shape.vocab);
  number("embedding_length", shape.hidden);
  number("feed_forward_length", shape.dense_ff > 0    ? shape.dense_ff
                                : shape.shared_ff > 0 ? shape.shared_ff
                                                      : shape.expert_ff);
  number("attention.head_count", shape.heads);
  number("attention.head_count_kv", shape.kv_heads);
  number("attention.key_length", shape.head_dim + shape.rope_dim);
  number("attention.value_length", shape.head_dim);
  out->AddF32(prefix + (shape.layer_norm ? "attention.layer_norm_epsilon"
                                         : "attention.layer_norm_rms_epsilon"),
              shape.epsilon);
  if (shape.qkv_clamp > 0) out->AddF32(prefix + "attention.clamp_kqv", shape.qkv_clamp);
  if (shape.window > 0) number("attention.sliding_window", shape.window);
  number("rope.dimension_count", shape.rope_dim > 0 ? shape.rope_dim
                                 : shape.turned > 0 ? shape.turned
                                                    : shape.head_dim);
  out->AddF32(prefix + "rope.freq_base", shape.rope_base);
  if (shape.kv_latent > 0) number("attention.kv_lora_rank", shape.kv_latent);
  if (shape.experts > 0) WriteExpertKeys(shape, prefix, out);
  if (shape.yarn_factor > 0) {
    out->AddString(prefix + "rope.scaling.type", "yarn");
    out->AddF32(prefix + "rope.scaling.factor", shape.yarn_factor);
    number("rope.scaling.original_context_length", shape.yarn_context);
    if (shape.yarn_log_multiplier > 0) {
      out->AddF32(prefix + "rope.scaling.yarn_log_multiplier", shape.yarn_log_multiplier);
    }
  }
}

void WriteTokenizerKeys(const ModelShape& shape, GgufWriter* out) {
  shape.tokenizer == SynthTokenizer::kByteLevel ? WriteByteLevel(shape, out)
                                                : WriteSentencePiece(shape, out);
}

}  // namespace sluice
