// Least recently used: the victim is the candidate whose last use lies farthest back. Within a call
// tokens count in their order and the experts of a token by rank.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Lru final : public EvictionRule {
 public:
  explicit Lru(const RuleSetup& setup) : last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override { last_use_.Observe(call); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return last_use_.Oldest(candidates);
  }
  void Reset() override { last_use_.Reset(); }

 private:
  LastUse last_use_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewLru(const RuleSetup& setup) {
  return std::make_unique<Lru>(setup);
}

}  // namespace sluice
