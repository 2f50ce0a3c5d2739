// Counts of use that decay with time, of every expert at once.
//
// Instead of multiplying all counts by d, what is added later weighs 1/d more. The order of the
// counts is the same, and a token costs what it chose. From time to time everything is scaled by
// a power of two, which changes no bit of a mantissa.
#pragma once

#include <cstdint>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {

class DecayedCounts {
 public:
  explicit DecayedCounts(const RuleSetup& setup);

  // Calls add(expert, rank, row) for what each token of the call chose; it calls Add. `decay` in
  // (0, 1] is applied to all counts once per `every`; before a token's choices where it counts
  // tokens or steps, after a choice where it counts accesses. There is no clock here: milliseconds
  // count as steps.
  template <typename AddChoice>
  void Observe(const LayerCall& call, double decay, Span every, AddChoice add) {
    const int32_t first = BeginCall(call, decay, every);
    for (int32_t row = first; row < call.tokens; ++row) {
      if (every.unit == SpanUnit::kTokens) Advance(decay, every.count);
      int32_t rank = 0;
      for (const int32_t expert : Chosen(call, row)) {
        add(expert, rank++, row);
        if (every.unit == SpanUnit::kAccesses) Advance(decay, every.count);
      }
    }
    EndCall(every);
  }
  void Add(ExpertKey key, double amount) { counts_[static_cast<size_t>(key)] += amount * weight_; }

  // What `history = resident` needs.
  void OnInsert(ExpertKey key) { resident_[static_cast<size_t>(key)] = 1; }
  void OnRemove(ExpertKey key);
  void Reset() { counts_.assign(counts_.size(), 0); }

  // Comparable with each other only.
  double Scaled(ExpertKey key) const { return counts_[static_cast<size_t>(key)]; }
  // The count itself. REQUIRES: a call has been observed.
  double Count(ExpertKey key) const { return Scaled(key) / weight_; }

 private:
  // The first row that still matters.
  int32_t BeginCall(const LayerCall& call, double decay, Span every);
  void EndCall(Span every);
  void Advance(double decay, int64_t period) {
    if (++time_ % period == 0) weight_ /= decay;
  }
  void Rescale();

  const CacheShape shape_;
  const CacheSpec* const cache_;
  std::vector<double> counts_;     // by key, times weight_
  std::vector<uint8_t> resident_;  // by key
  StepWatch steps_;
  double weight_ = 1;  // of a choice now
  int64_t time_ = 0;   // tokens, steps or accesses
  // All layers of a step see the same tokens: each begins where the step began.
  double step_weight_ = 1;
  int64_t step_time_ = 0;
  double latest_weight_ = 1;
  int64_t latest_time_ = 0;
};

}  // namespace sluice
