// Token sequences with the habits of text: they stay with a topic for a while, and within it few
// tokens are frequent and many rare.
#pragma once

#include <cstdint>
#include <vector>

#include "synth/random_words.h"

namespace sluice {

struct TopicTextOptions {
  int64_t first = 0;  // ids in [first, end)
  int64_t end = 0;    // REQUIRES: end - first >= topics
  int64_t topics = 64;
  // That the next token has the topic of the one before: 0.98 is a new topic every 50 tokens.
  double stay = 0.98;
  uint64_t seed = 1;
};

// Sequence number `index`; different numbers give different sequences. Within a topic the token of
// rank r comes with a probability of about 1 / (r + 1).
std::vector<int32_t> TopicText(const TopicTextOptions& options, int64_t index, int64_t tokens);

}  // namespace sluice
