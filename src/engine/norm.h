// The model's kind of norm, over the hidden state.
#pragma once

#include <cstdint>
#include <vector>

#include "device/ops.h"
#include "model/model_spec.h"

namespace sluice {

// x, out [tokens, hidden].
inline void Norm(Ops* ops, const ModelSpec& spec, const float* x, int64_t tokens,
                 const std::vector<float>& weight, float* out) {
  if (spec.norm == NormKind::kRms) {
    ops->RmsNorm(x, tokens, spec.hidden, weight.data(), spec.norm_epsilon, out);
  } else {
    ops->LayerNorm(x, tokens, spec.hidden, weight.data(), spec.norm_epsilon, out);
  }
}

// What a layer lacks is an empty vector here, a null pointer in an operation.
inline const float* OrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace sluice
