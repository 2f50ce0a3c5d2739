// How many slots a policy has, and for what: domains of the cache, and staging.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "cache/layer_call.h"
#include "cache/policy_spec.h"

namespace sluice {

struct SlotLayout {
  std::vector<int32_t> capacities;  // by domain
  int32_t staging = 0;
  int64_t total() const {
    return std::accumulate(capacities.begin(), capacities.end(), int64_t{staging});
  }
};

// What the policy asks for; with `capacity = auto`, a division of `available`. May exceed
// `available` where the capacity is a number.
SlotLayout LayOutSlots(const PolicySpec& spec, CacheShape shape, int32_t top_k,
                       uint64_t expert_bytes, int64_t available);

}  // namespace sluice
