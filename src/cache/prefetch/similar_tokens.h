// Moments of the past that resemble the present one. Keeps what the last few thousand tokens chose
// in every layer, and while a token goes through the layers, how much its choices so far agree with
// those of each remembered token (and, less, how much the tokens before the two agreed). What the
// similar tokens chose next is what this one will likely want.
//
// Of a call with several tokens all are remembered, but only the last one is compared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

class SimilarTokens {
 public:
  // Remembers `tokens` tokens, or what fits into 48 MiB: each takes layers x (experts / 8 + 2
  // top_k) bytes.
  SimilarTokens(CacheShape shape, int32_t top_k, int32_t tokens);

  // A layer's call. After it, similar() speaks of the last token of the call.
  void Observe(const LayerCall& call);
  void Reset();

  // A remembered token and how similar it is: 1 for the most similar.
  struct Similar {
    int32_t place = 0;
    float weight = 0;
  };
  // Those that are not much less similar than the most similar one.
  std::span<const Similar> similar() const { return similar_; }
  // What the token remembered `tokens_later` (>= 0) after `place` chose in `layer`; empty where it
  // has not got there yet.
  std::span<const uint16_t> Choice(int32_t place, int32_t tokens_later, int32_t layer) const;

 private:
  void Remember(const LayerCall& call);
  void Compare(std::span<const int32_t> choice, int32_t layer);
  void CountAgreement(std::span<const int32_t> choice, int32_t layer, size_t bytes);
  void Select();

  const CacheShape shape_;
  const size_t top_k_;
  const size_t places_;
  const size_t padded_;  // places_ rounded up to whole bytes of bits
  const float scale_;    // of overlaps, to a logarithm of weight

  // Who chose an expert: a bit per remembered token.
  std::vector<uint8_t> chosen_;   // [layers, experts, padded_ / 8]
  std::vector<uint16_t> choice_;  // [layers, places_, top_k]
  // Tokens so far, and so the place (modulo places_) of the next one; by layer, since the layers of
  // a step are called one by one.
  std::vector<uint64_t> tokens_;

  std::vector<float> overlap_;     // [padded_] of the present token, over the layers so far
  std::vector<float> carried_;     // [padded_] from the token before, along the diagonal
  std::vector<float> closeness_;   // [padded_] scratch: the logarithm of the weight
  std::vector<uint64_t> counts_;   // [padded_ / 8] scratch: eight counts each
  std::vector<float> block_most_;  // [padded_ / 8] scratch: the greatest closeness of eight
  std::vector<Similar> similar_;
};

}  // namespace sluice
