// Top-k of router logits: done on the host by every CPU device, once for all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "device/math.h"
#include "device/ops.h"

namespace sluice {

inline void RouteToken(const float* logits, int64_t experts, int64_t top_k, RouterRule rule,
                       int32_t* chosen, float* weights) {
  // Insertion into a short sorted list: `>` keeps the lower id first on ties, NaN never wins.
  int64_t kept = 0;
  for (int64_t e = 0; e < experts; ++e) {
    int64_t at = kept;
    while (at > 0 && logits[e] > logits[chosen[at - 1]]) --at;
    if (at == top_k) continue;
    if (kept < top_k) ++kept;
    for (int64_t i = kept - 1; i > at; --i) chosen[i] = chosen[i - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
  const float largest = logits[chosen[0]];
  float total = 0;
  for (int64_t e = 0; e < experts; ++e) total += Exp(logits[e] - largest);
  float chosen_total = 0;
  for (int64_t i = 0; i < top_k; ++i) {
    weights[i] = Exp(logits[chosen[i]] - largest) / total;
    chosen_total += weights[i];
  }
  if (rule == RouterRule::kSoftmaxRenormalised) {
    for (int64_t i = 0; i < top_k; ++i) weights[i] /= chosen_total;
  }
}

inline void RouteOnHost(const float* logits, int64_t tokens, int64_t experts, int64_t top_k,
                        RouterRule rule, Routing* routing) {
  routing->tokens = tokens;
  routing->top_k = top_k;
  routing->experts.resize(static_cast<size_t>(tokens * top_k));
  routing->weights.resize(static_cast<size_t>(tokens * top_k));
  for (int64_t t = 0; t < tokens; ++t) {
    RouteToken(logits + t * experts, experts, top_k, rule, routing->experts.data() + t * top_k,
               routing->weights.data() + t * top_k);
  }
}

}  // namespace sluice
