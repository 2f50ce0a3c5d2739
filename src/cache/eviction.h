// Which expert to forget. Pure decisions: no bytes, no threads, no clock but the calls themselves.
//
// A rule sees every call, whoever is resident, so its statistics outlive residency; a policy that
// may switch rules while it runs lets all of them watch from the start.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cache/future.h"
#include "cache/layer_call.h"
#include "cache/policy_spec.h"

namespace sluice {

// How an expert came into the cache.
enum class Insertion { kDemand, kPrefetch, kInitial };

// What a rule is made from. `cache` and `future` outlive the rule. Cache parameters that a rule of
// `adapt` may change (frequency_decay, ...) are read when they are used, not copied.
struct RuleSetup {
  CacheShape shape;
  int32_t top_k = 1;
  int32_t slots = 1;  // of one domain: of a layer, or of all where layers share
  const CacheSpec* cache = nullptr;
  const Future* future = nullptr;  // null outside a replay
  // By key: the probability that the expert is chosen when its layer is called next, as the
  // prefetch predictor says (Predictor::Predict for the call's own layer, after every call).
  // Whoever makes the rule keeps it up to date; only `predicted` reads it. Empty: nobody predicts.
  std::span<const float> likelihood;
};

// Called on one thread; deterministic: the same calls give the same victims. Allocates nothing
// after the first steps.
class EvictionRule {
 public:
  EvictionRule() = default;
  virtual ~EvictionRule() = default;
  EvictionRule(const EvictionRule&) = delete;
  EvictionRule& operator=(const EvictionRule&) = delete;

  // What the routers chose, before anything is decided about the call.
  virtual void Observe(const LayerCall& call) = 0;
  virtual void OnInsert(ExpertKey /*key*/, Insertion /*how*/) {}
  virtual void OnRemove(ExpertKey /*key*/) {}
  // One of `candidates`: resident, of one domain, not wanted by the call under way, not pinned;
  // not empty; in no particular order.
  virtual ExpertKey Victim(std::span<const ExpertKey> candidates) = 0;
  // Forgets what was learned (`reset stats`), not who is resident.
  virtual void Reset() {}
};

// The rule called `name` (eviction/builtins.inc), or null.
std::unique_ptr<EvictionRule> NewEvictionRule(std::string_view name, const RuleSetup& setup);
// `primary | second`, or just `primary`.
std::unique_ptr<EvictionRule> NewEvictionRule(const Eviction& eviction, const RuleSetup& setup);
std::vector<std::string_view> EvictionRuleNames();

}  // namespace sluice
