// SIEVE (Y. Zhang et al., SIEVE is simpler than LRU, NSDI 2024): experts wait in the order in which
// they came. A use leaves a mark. A hand walks from the oldest to the newest and round again: it
// takes marks away, and who has none is the victim.
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Sieve final : public EvictionRule {
 public:
  explicit Sieve(const RuleSetup& setup)
      : shape_(setup.shape),
        domains_(setup),
        queues_(setup.shape, domains_.count()),
        used_(setup.shape.size()),
        hands_(static_cast<size_t>(domains_.count()), KeyLists::kNone),
        candidates_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    for (const int32_t expert : call.experts) {
      const ExpertKey key = first + expert;
      used_[static_cast<size_t>(key)] = 1;
    }
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    queues_.MoveToFront(domains_.Of(key), key);
    used_[static_cast<size_t>(key)] = 0;
  }
  void OnRemove(ExpertKey key) override {
    ExpertKey& hand = hands_[static_cast<size_t>(domains_.Of(key))];
    if (hand == key) hand = queues_.TowardsFront(key);
    queues_.Remove(key);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    candidates_.Assign(candidates);
    const int32_t queue = domains_.Of(candidates[0]);
    ExpertKey& hand = hands_[static_cast<size_t>(queue)];
    // Two rounds at most: the first takes every mark. Who may not leave keeps its mark.
    for (;; hand = queues_.TowardsFront(hand)) {
      if (hand == KeyLists::kNone) hand = queues_.Back(queue);
      if (!candidates_.Has(hand)) continue;
      if (used_[static_cast<size_t>(hand)] == 0) return hand;
      used_[static_cast<size_t>(hand)] = 0;
    }
  }
  void Reset() override { used_.assign(used_.size(), 0); }

 private:
  const CacheShape shape_;
  const Domains domains_;
  KeyLists queues_;               // one per domain, the newest in front
  std::vector<uint8_t> used_;     // by key: since the hand passed
  std::vector<ExpertKey> hands_;  // by domain; kNone: begins at the back
  KeySet candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewSieve(const RuleSetup& setup) {
  return std::make_unique<Sieve>(setup);
}

}  // namespace sluice
