// The decision core: one policy, running. The engine asks it at every layer what to do, and a
// replay asks the very same code: the same routing gives the same decisions.
//
// Pure: no bytes, no threads, no clock, and once warm no allocation. It sees what has been decided,
// not what has arrived from the disk since: an expert whose read is under way is resident.
//
// Slots belong to nobody for good. A slot holds an expert of the cache (in one of its domains: a
// layer, or all layers where they share), or a staged one: fetched on a guess, or passing through
// because the policy does not admit it. A staged expert that is then demanded changes sides
// without moving: the victim's slot becomes free for staging instead.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/layer_call.h"
#include "cache/placement.h"
#include "cache/policy_spec.h"
#include "routing/clock_readings.h"
#include "sluice/status.h"

namespace sluice {

class Future;

// One expert of a dispatch.
struct Placed {
  int32_t demand = 0;  // index into the call's demands
  int32_t slot = 0;
  bool hit = false;  // resident when the call began; its read may still be under way
  // Index in Dispatch::experts of the entry that must have been computed before this one may be
  // read into their common slot; -1: the slot is free at once. Only calls with more experts than
  // slots have such entries.
  int32_t after = -1;
  Where where = Where::kFetch;
};

// An expert to read when nothing more urgent is to be read.
struct Prefetch {
  ExpertId id;
  int32_t slot = 0;
  float probability = 0;
};

struct Dispatch {
  std::vector<Placed> experts;       // in the order of computation
  std::vector<Prefetch> prefetches;  // likeliest first
};

// Sums of one layer in one phase.
struct DecisionCounts {
  uint64_t calls = 0;
  uint64_t accesses = 0;         // a token choosing an expert
  uint64_t hits = 0;             // accesses whose expert was resident or staged when its call began
  uint64_t demand_misses = 0;    // experts that a call had to have read
  uint64_t insertions = 0;       // of experts into the cache
  uint64_t evictions = 0;        // of experts from the cache
  uint64_t in_place = 0;         // demand misses that were computed where they lie
  uint64_t prefetches = 0;       // experts read on a guess
  uint64_t prefetches_used = 0;  // of which were demanded before they were displaced
  uint64_t prefetches_wasted = 0;

  uint64_t misses() const { return accesses - hits; }
  DecisionCounts& operator+=(const DecisionCounts& other);
  // What was added since `before`.
  friend DecisionCounts operator-(const DecisionCounts& now, const DecisionCounts& before);
  friend bool operator==(const DecisionCounts&, const DecisionCounts&) = default;
};

// Idle link time, counted in calls: what the link carries while one layer computes.
struct LinkTicks {
  double bytes_per_call = 0;  // 0: unknown; prefetches are then bounded by their budget alone
};

// A rule of `adapt` that fired.
struct AdaptEvent {
  uint64_t step = 0;
  int32_t rule = 0;
  std::string what;
};

class DecisionCore {
 public:
  struct Setup {
    CacheShape shape;
    int32_t top_k = 1;
    int64_t slots = 0;  // that there are at most, staging included; what `capacity = auto` divides
    uint64_t expert_bytes = 1;
    LinkTicks link;
    PlacementTimes times;
    const Future* future = nullptr;      // for belady; outlives the core
    std::span<const double> popularity;  // [layers x experts] for `init = profile`; read at once
    std::string_view table;              // content of a prefetch table; outlives the core
  };

  // Fails where the policy cannot work with this model or this many slots; the message says what
  // to change.
  static Result<std::unique_ptr<DecisionCore>> Create(const PolicySpec& spec, const Setup& setup);
  ~DecisionCore();
  DecisionCore(const DecisionCore&) = delete;
  DecisionCore& operator=(const DecisionCore&) = delete;

  // Slots that the policy asks for, staging included, if it may have at most `available`.
  static int64_t SlotsWanted(const PolicySpec& spec, CacheShape shape, int32_t top_k,
                             uint64_t expert_bytes, int64_t available);

  // What a core of this policy occupies besides the slots, at most, roughly: tables of rules and
  // predictors, memories of earlier tokens.
  static uint64_t Footprint(const PolicySpec& spec, CacheShape shape);

  // A step of the model begins: `tokens` go through all layers. Evaluates the rules of `adapt` on
  // the steps before. `readings` may be null where no rule asks for them (wants_readings()).
  void BeginStep(int32_t tokens, const ClockReadings* readings = nullptr);
  // Decides one layer's call. The dispatch and demands() stay valid until the next call.
  const Dispatch& Begin(const LayerRouting& routing);
  std::span<const Demand> demands() const;

  // Experts that the policy wants in their slots from the start (`init`, `pin`), to be read as
  // prefetches are. Until then a demand for one counts as a hit whose read is under way.
  std::span<const Prefetch> initial() const;

  // The expert's read failed: it is not there after all.
  void Forget(ExpertId id);

  bool Resident(ExpertId id) const;  // or staged
  // Which later layer's router the policy wants applied at `layer` in the step under way, and to
  // how many experts its answer may be cut; layer -1: none.
  struct GateWanted {
    int32_t layer = -1;
    int32_t experts = 0;
  };
  GateWanted gate_wanted(int32_t layer) const;
  bool wants_readings() const;
  // Speculative reads that should be with the operating system at a time, in experts.
  int32_t max_inflight() const;

  int64_t slots() const;  // in use: of the cache and of staging
  int64_t staging_slots() const;
  int32_t capacity(int32_t layer) const;  // of its domain
  const DecisionCounts& counts(Phase phase, int32_t layer) const;
  DecisionCounts totals() const;
  std::span<const AdaptEvent> events() const;  // the first few thousand
  uint64_t adapt_firings() const;
  const PolicySpec& spec() const;  // as adapt has made it

 private:
  class Impl;
  explicit DecisionCore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
