// How router logits become chosen experts and their weights.
#pragma once

#include <cstdint>

namespace sluice {

enum class RouterScores {
  kSoftmax,          // of all experts
  kSoftmaxOfChosen,  // softmax over the logits of the chosen ones alone (gpt-oss)
  kSigmoid,          // of each logit on its own (GLM-4.5)
};

// What stands for a group of experts where only some groups may be chosen from.
enum class GroupScore {
  kBest,     // its best expert (DeepSeek-V2)
  kBestTwo,  // the sum of its two best (DeepSeek-V3)
};

struct RouterRule {
  RouterScores scores = RouterScores::kSoftmax;
  bool renormalise = false;  // the chosen weights are divided by their sum
  float scale = 1;           // of the weights, at the end
  // The experts are cut into `groups` runs of equal length; only those of the best `groups_used`
  // may be chosen.
  int64_t groups = 1;
  int64_t groups_used = 1;
  GroupScore group_score = GroupScore::kBest;
};

// What a router says of a batch before experts are chosen.
struct RouterOutput {
  const float* logits = nullptr;  // [tokens, experts]
  int64_t tokens = 0;
  int64_t experts = 0;
  // [experts], or null: added to the scores that choose, not to those that become weights
  // (GLM-4.5).
  const float* selection_bias = nullptr;
};

}  // namespace sluice
