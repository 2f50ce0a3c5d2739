// Top-k of router logits: done on the host by every CPU device, once for all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "device/math.h"
#include "device/ops.h"

namespace sluice {

// The indices of the largest scores, best first, into `chosen`, which has as many as are wanted.
inline void TopK(std::span<const float> scores, std::span<int32_t> chosen) {
  // Insertion into a short sorted list: `>` keeps the lower id first on ties, NaN never wins.
  size_t kept = 0;
  for (size_t e = 0; e < scores.size(); ++e) {
    size_t at = kept;
    while (at > 0 && scores[e] > scores[static_cast<size_t>(chosen[at - 1])]) --at;
    if (at == chosen.size()) continue;
    if (kept < chosen.size()) ++kept;
    for (size_t i = kept - 1; i > at; --i) chosen[i] = chosen[i - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
}

// Leaves the scores of experts outside the best groups at -infinity.
inline void KeepBestGroups(const RouterRule& rule, std::span<float> scores) {
  const auto groups = static_cast<size_t>(rule.groups);
  const size_t size = scores.size() / groups;
  std::vector<float> group_scores(groups);
  for (size_t g = 0; g < groups; ++g) {
    int32_t best[2];
    const std::span<const float> members = scores.subspan(g * size, size);
    const size_t wanted = rule.group_score == GroupScore::kBestTwo && size > 1 ? 2 : 1;
    TopK(members, {best, wanted});
    group_scores[g] = members[static_cast<size_t>(best[0])];
    if (wanted == 2) group_scores[g] += members[static_cast<size_t>(best[1])];
  }
  std::vector<int32_t> kept(static_cast<size_t>(rule.groups_used));
  TopK(group_scores, kept);
  for (size_t g = 0; g < groups; ++g) {
    if (std::ranges::find(kept, static_cast<int32_t>(g)) != kept.end()) continue;
    std::ranges::fill(scores.subspan(g * size, size), -std::numeric_limits<float>::infinity());
  }
}

// Scores that choose: softmax keeps the order of its logits, so they do.
inline void ChoosingScores(std::span<const float> logits, const RouterRule& rule,
                           const float* selection_bias, std::vector<float>* scores) {
  scores->assign(logits.begin(), logits.end());
  if (rule.scores == RouterScores::kSigmoid) {
    for (float& score : *scores) score = Sigmoid(score);
  }
  if (selection_bias != nullptr) {
    for (size_t e = 0; e < scores->size(); ++e) (*scores)[e] += selection_bias[e];
  }
  if (rule.groups > 1) KeepBestGroups(rule, *scores);
}

// weights[i] belongs to chosen[i].
inline void ChosenWeights(std::span<const float> logits, const RouterRule& rule,
                          std::span<const int32_t> chosen, float* weights) {
  const auto logit = [&](size_t i) { return logits[static_cast<size_t>(chosen[i])]; };
  float total = 1;
  float largest = 0;
  if (rule.scores != RouterScores::kSigmoid) {
    // The first is not the largest where a bias chose.
    largest = logit(0);
    for (size_t i = 1; i < chosen.size(); ++i) largest = std::max(largest, logit(i));
    total = 0;
    if (rule.scores == RouterScores::kSoftmax) {
      for (const float x : logits) total += Exp(x - largest);
    } else {
      for (size_t i = 0; i < chosen.size(); ++i) total += Exp(logit(i) - largest);
    }
  }
  float chosen_total = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    weights[i] =
        rule.scores == RouterScores::kSigmoid ? Sigmoid(logit(i)) : Exp(logit(i) - largest) / total;
    chosen_total += weights[i];
  }
  if (rule.renormalise) {
    // All sigmoids may be 0, all softmaxes may not.
    if (rule.scores == RouterScores::kSigmoid) chosen_total += 1e-20F;
    for (size_t i = 0; i < chosen.size(); ++i) weights[i] /= chosen_total;
  }
  if (rule.scale != 1) {
    for (size_t i = 0; i < chosen.size(); ++i) weights[i] *= rule.scale;
  }
}

inline void RouteOnHost(const RouterOutput& router, int64_t top_k, const RouterRule& rule,
                        Routing* routing) {
  routing->tokens = router.tokens;
  routing->top_k = top_k;
  routing->experts.resize(static_cast<size_t>(router.tokens * top_k));
  routing->weights.resize(static_cast<size_t>(router.tokens * top_k));
  std::vector<float> scores;
  for (int64_t t = 0; t < router.tokens; ++t) {
    const std::span row(router.logits + t * router.experts, static_cast<size_t>(router.experts));
    const std::span chosen(routing->experts.data() + t * top_k, static_cast<size_t>(top_k));
    ChoosingScores(row, rule, router.selection_bias, &scores);
    TopK(scores, chosen);
    ChosenWeights(row, rule, chosen, routing->weights.data() + t * top_k);
  }
}

}  // namespace sluice
