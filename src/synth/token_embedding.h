// Embeddings that make a router behave like a real one.
//
// A row of the matrix is cut into small pieces. Some are the same for all tokens: they give every
// token a common part, in which each router likes some experts better: popularity. Some are the
// same for the tokens of one topic: text that stays with a topic keeps choosing some experts:
// locality. The rest is the token's own. As the embedding is most of the residual stream down to
// the last layer, and routers are random, each layer has favourites and habits of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "synth/block_type.h"

namespace sluice {

// Shares of a router's variance; the rest belongs to the single token. Their sum is at most 1.
struct RoutingHabits {
  double skew = 0.3;      // common to all tokens
  double locality = 0.3;  // common to the tokens of a topic
  int64_t topics = 64;    // token t belongs to topic t % topics
};

// Row `token` of the embedding: whole blocks of `type`.
void FillEmbeddingRow(const BlockType& type, double rms, const RoutingHabits& habits, uint64_t seed,
                      int64_t token, std::span<std::byte> row);

}  // namespace sluice
