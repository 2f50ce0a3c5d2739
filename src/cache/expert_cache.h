// Which experts hold the slots of a tier: every decision of a layer's call, made before a byte
// moves.
//
// Begin() looks at what the router chose and answers with a Dispatch: for each expert its slot, and
// for each miss whom it displaces. The decision sees what has been decided before, not what has
// arrived from the disk since: the same routing gives the same dispatches, in the engine and in a
// replay.
//
// Slots belong to domains. With at least kMinSlotsPerLayer slots per layer each layer is a domain
// of its own, the slots divided evenly; with fewer, all layers share one domain.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cache/eviction.h"
#include "routing/expert_id.h"
#include "sluice/status.h"

namespace sluice {

// One expert of a dispatch.
struct Placed {
  int32_t demand = 0;  // index into the call's demands
  int32_t slot = 0;
  bool hit = false;  // resident when the call began
  // Index in the dispatch of the entry that must have been computed before this one may be read
  // into their common slot; -1: the slot is free at once. Only calls with more experts than slots
  // have such entries.
  int32_t after = -1;
};
// In the order of computation: hits first, then misses in the order of the demands.
using CacheDispatch = std::vector<Placed>;

struct CacheStats {
  uint64_t accesses = 0;  // a token choosing an expert
  uint64_t hits = 0;
  uint64_t misses = 0;     // accesses that were no hits
  uint64_t loads = 0;      // experts brought in
  uint64_t evictions = 0;  // experts displaced
};

class ExpertCache {
 public:
  static constexpr int32_t kMinSlotsPerLayer = 2;

  // `slots` >= 1; more than shape.size() are not used. Fails on an unknown policy.
  static Result<std::unique_ptr<ExpertCache>> Create(CacheShape shape, int64_t slots,
                                                     std::string_view policy);

  // Decides one layer's call. `demands` are distinct, in the order in which the batch met them.
  // The dispatch stays valid until the next call.
  const CacheDispatch& Begin(int32_t layer, std::span<const Demand> demands);

  // The expert's read failed: it is not there after all.
  void Forget(ExpertId id);

  bool Resident(ExpertId id) const { return slot_of_[shape_.Index(id)] >= 0; }
  int64_t slots() const { return slots_; }
  const CacheStats& stats() const { return stats_; }

 private:
  struct Domain {
    std::vector<int32_t> free;        // slots without content, next one last
    std::vector<ExpertId> residents;  // unordered
  };

  ExpertCache(CacheShape shape, int64_t slots, std::unique_ptr<EvictionRule> rule);
  Domain& DomainOf(int32_t layer) {
    return domains_[domains_.size() == 1 ? 0 : static_cast<size_t>(layer)];
  }
  Placed Insert(int32_t layer, int32_t demand, ExpertId id);
  void Remove(Domain* domain, ExpertId id);

  const CacheShape shape_;
  const int64_t slots_;
  std::unique_ptr<EvictionRule> rule_;
  std::vector<Domain> domains_;
  std::vector<int32_t> slot_of_;   // by expert; -1: not resident
  std::vector<uint64_t> in_call_;  // by expert: the last call that wants it
  uint64_t call_ = 0;
  size_t next_own_victim_ = 0;  // entry of this call that gives its slot next
  CacheDispatch dispatch_;
  std::vector<ExpertKey> candidates_;
  std::vector<ExpertId> wanted_;  // by demand of the call under way
  CacheStats stats_;
};

}  // namespace sluice
