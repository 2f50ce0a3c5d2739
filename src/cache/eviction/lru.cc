// Least recently used: the victim is the candidate whose last use lies farthest back. Within a call
// the order is that of the demands.
#include <memory>
#include <vector>

#include "cache/eviction.h"

namespace sluice {
namespace {

class Lru final : public EvictionRule {
 public:
  explicit Lru(const RuleSetup& setup) : shape_(setup.shape), last_use_(setup.shape.size()) {}

  void Observe(const LayerCall& call) override {
    for (const Demand& demand : call.demands) {
      last_use_[shape_.Index({.layer = call.layer, .expert = demand.expert})] = ++uses_;
    }
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    ExpertKey victim = candidates[0];
    uint64_t oldest = last_use_[static_cast<size_t>(victim)];
    for (const ExpertKey key : candidates.subspan(1)) {
      const uint64_t use = last_use_[static_cast<size_t>(key)];
      if (use < oldest) {
        oldest = use;
        victim = key;
      }
    }
    return victim;
  }
  void Reset() override { last_use_.assign(last_use_.size(), 0); }

 private:
  const CacheShape shape_;
  std::vector<uint64_t> last_use_;  // by key; 0: never
  uint64_t uses_ = 0;
};

}  // namespace

std::unique_ptr<EvictionRule> NewLru(const RuleSetup& setup) {
  return std::make_unique<Lru>(setup);
}

}  // namespace sluice
