// Which expert to forget. Pure decisions: no bytes, no threads, no clock but the caller's ticks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "routing/expert_id.h"

namespace sluice {

// The experts that a policy may see: all of layers x experts.
struct CacheShape {
  int32_t layers = 0;
  int32_t experts = 0;

  size_t size() const { return static_cast<size_t>(layers) * static_cast<size_t>(experts); }
  size_t Index(ExpertId id) const {
    return static_cast<size_t>(id.layer) * static_cast<size_t>(experts) +
           static_cast<size_t>(id.expert);
  }
};

// Called on one thread; must be deterministic: the same calls give the same victims. Facts may be
// kept about every expert, resident or not.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  // `id` was chosen by a router (whether resident or not). Ticks only grow.
  virtual void OnAccess(ExpertId id, uint64_t tick) = 0;
  virtual void OnInsert(ExpertId id) = 0;
  virtual void OnRemove(ExpertId id) = 0;
  // One of `candidates`, which are resident and not empty.
  virtual ExpertId Victim(std::span<const ExpertId> candidates) = 0;
};

// The policy called `name` (eviction/builtins.inc), or null.
std::unique_ptr<EvictionPolicy> NewEvictionPolicy(std::string_view name, CacheShape shape);
std::vector<std::string_view> EvictionPolicyNames();

}  // namespace sluice
