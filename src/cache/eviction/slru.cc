// Segmented LRU (R. Karedla, J. Love, B. Wherry, Caching strategies to improve disk system
// performance, 1994): who comes in is on probation, a use protects. `slru_protected` of the slots
// are for the protected; who is used longest ago there goes back on probation. The victim is the
// one on probation that was used longest ago, or of the protected where nobody is on probation.
// A call uses an expert once, however many of its tokens chose it.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Slru final : public EvictionRule {
 public:
  explicit Slru(const RuleSetup& setup)
      : shape_(setup.shape),
        cache_(setup.cache),
        domains_(setup),
        capacities_(domains_, setup),
        lists_(setup.shape, 2 * domains_.count()),
        candidates_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    const int32_t domain = domains_.Of(first);
    const int32_t most = capacities_.Share(domain, cache_->slru_protected);
    for (const Demand& demand : call.demands) {
      const ExpertKey key = first + demand.expert;
      if (lists_.ListOf(key) == KeyLists::kNone) continue;
      lists_.MoveToFront(Protected(domain), key);
      if (lists_.size(Protected(domain)) > most) {
        lists_.MoveToFront(Probation(domain), lists_.Back(Protected(domain)));
      }
    }
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    lists_.MoveToFront(Probation(domains_.Of(key)), key);
  }
  void OnRemove(ExpertKey key) override { lists_.Remove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    const int32_t domain = domains_.Of(candidates[0]);
    capacities_.Full(domain, lists_.size(Probation(domain)) + lists_.size(Protected(domain)));
    candidates_.Assign(candidates);
    const ExpertKey key = lists_.LastOf(Probation(domain), candidates_);
    return key != KeyLists::kNone ? key : lists_.LastOf(Protected(domain), candidates_);
  }

 private:
  static int32_t Probation(int32_t domain) { return 2 * domain; }
  static int32_t Protected(int32_t domain) { return 2 * domain + 1; }

  const CacheShape shape_;
  const CacheSpec* const cache_;
  const Domains domains_;
  Capacities capacities_;
  KeyLists lists_;  // two per domain, the latest used in front
  KeySet candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewSlru(const RuleSetup& setup) {
  return std::make_unique<Slru>(setup);
}

}  // namespace sluice
