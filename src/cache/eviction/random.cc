// Any candidate, with equal chance: the floor that a rule should rise above. Every draw gives every
// key a fresh number, the least wins, so the order of the candidates plays no part. The seed is
// fixed: a replay draws what the run drew.
#include <memory>

#include "cache/eviction.h"

namespace sluice {
namespace {

// The finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number
// generators, 2014).
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

class Random final : public EvictionRule {
 public:
  void Observe(const LayerCall& /*call*/) override {}
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    const uint64_t draw = Mix(++draws_);
    ExpertKey victim = candidates[0];
    uint64_t least = Mix(draw ^ static_cast<uint64_t>(victim));
    for (const ExpertKey key : candidates.subspan(1)) {
      const uint64_t number = Mix(draw ^ static_cast<uint64_t>(key));
      if (number < least) {
        least = number;
        victim = key;
      }
    }
    return victim;
  }
  void Reset() override { draws_ = 0; }

 private:
  uint64_t draws_ = 0;
};

}  // namespace

std::unique_ptr<EvictionRule> NewRandom(const RuleSetup& /*setup*/) {
  return std::make_unique<Random>();
}

}  // namespace sluice
