// The model that a policy is compiled for, as a policy sees it.
#pragma once

#include "model/model.h"
#include "policy/compile.h"
#include "store/expert_store.h"

namespace sluice {

// An expert counts as the slot that it takes.
inline TargetModel TargetOf(const Model& model) {
  return {.layers = static_cast<int32_t>(model.spec.moe_layers()),
          .experts = static_cast<int32_t>(model.spec.moe.experts),
          .top_k = static_cast<int32_t>(model.spec.moe.top_k),
          .expert_bytes = ExpertStore::SlotBytes(model.experts)};
}

}  // namespace sluice
