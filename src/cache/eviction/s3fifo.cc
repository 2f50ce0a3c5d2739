// S3-FIFO (J. Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023): who comes
// in waits in a small queue, a tenth of the slots. At its end, who was used twice meanwhile goes on
// to the main queue and the others leave, but are remembered for a while: who comes back in time
// enters the main queue at once. At the end of the main queue, who was used goes round again.
// A call uses an expert once, however many of its tokens chose it.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

constexpr double kSmallShare = 0.1;
constexpr uint8_t kMostUses = 3;    // that are counted
constexpr uint8_t kUsesToStay = 2;  // while in the small queue

class S3Fifo final : public EvictionRule {
 public:
  explicit S3Fifo(const RuleSetup& setup)
      : shape_(setup.shape),
        domains_(setup),
        capacities_(domains_, setup),
        queues_(setup.shape, 3 * domains_.count()),
        uses_(setup.shape.size()),
        candidates_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    for (const Demand& demand : call.demands) {
      const ExpertKey expert = FirstKey(shape_, call.layer) + demand.expert;
      const auto key = static_cast<size_t>(expert);
      uses_[key] = std::min(kMostUses, static_cast<uint8_t>(uses_[key] + 1));
    }
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    const int32_t domain = domains_.Of(key);
    const bool remembered = queues_.ListOf(key) == Ghost(domain);
    queues_.MoveToFront(remembered ? Main(domain) : Small(domain), key);
    uses_[static_cast<size_t>(key)] = 0;
  }
  void OnRemove(ExpertKey key) override {
    const int32_t domain = domains_.Of(key);
    if (queues_.ListOf(key) == Small(domain)) {
      queues_.MoveToFront(Ghost(domain), key);
      const int32_t most = capacities_[domain] - capacities_.Share(domain, kSmallShare);
      while (queues_.size(Ghost(domain)) > most) queues_.Remove(queues_.Back(Ghost(domain)));
    } else {
      queues_.Remove(key);
    }
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    candidates_.Assign(candidates);
    const int32_t domain = domains_.Of(candidates[0]);
    const int32_t small = Small(domain);
    const int32_t main = Main(domain);
    capacities_.Full(domain, queues_.size(small) + queues_.size(main));
    while (queues_.size(small) >= capacities_.Share(domain, kSmallShare)) {
      const ExpertKey key = queues_.LastOf(small, candidates_);
      if (key == KeyLists::kNone) break;
      uint8_t& uses = uses_[static_cast<size_t>(key)];
      if (uses < kUsesToStay) return key;
      queues_.MoveToFront(main, key);
      uses = 0;
    }
    for (;;) {
      const ExpertKey key = queues_.LastOf(main, candidates_);
      if (key == KeyLists::kNone) return queues_.LastOf(small, candidates_);
      uint8_t& uses = uses_[static_cast<size_t>(key)];
      if (uses == 0) return key;
      --uses;
      queues_.MoveToFront(main, key);
    }
  }
  void Reset() override {
    for (int32_t domain = 0; domain < domains_.count(); ++domain) queues_.Clear(Ghost(domain));
    std::ranges::fill(uses_, uint8_t{0});
  }

 private:
  static int32_t Small(int32_t domain) { return 3 * domain; }
  static int32_t Main(int32_t domain) { return 3 * domain + 1; }
  static int32_t Ghost(int32_t domain) { return 3 * domain + 2; }

  const CacheShape shape_;
  const Domains domains_;
  Capacities capacities_;
  KeyLists queues_;            // three per domain, the newest in front
  std::vector<uint8_t> uses_;  // by key: since it entered its queue
  KeySet candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewS3Fifo(const RuleSetup& setup) {
  return std::make_unique<S3Fifo>(setup);
}

}  // namespace sluice
