// First in, first out: the victim is the candidate that came in first.
#include <memory>
#include <vector>

#include "cache/eviction.h"

namespace sluice {
namespace {

class Fifo final : public EvictionRule {
 public:
  explicit Fifo(const RuleSetup& setup) : inserted_(setup.shape.size()) {}

  void Observe(const LayerCall& /*call*/) override {}
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    inserted_[static_cast<size_t>(key)] = ++insertions_;
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    ExpertKey first = candidates[0];
    for (const ExpertKey key : candidates.subspan(1)) {
      if (inserted_[static_cast<size_t>(key)] < inserted_[static_cast<size_t>(first)]) first = key;
    }
    return first;
  }

 private:
  std::vector<uint64_t> inserted_;  // by key
  uint64_t insertions_ = 0;
};

}  // namespace

std::unique_ptr<EvictionRule> NewFifo(const RuleSetup& setup) {
  return std::make_unique<Fifo>(setup);
}

}  // namespace sluice
