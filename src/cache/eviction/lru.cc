// Least recently used: the victim is the candidate whose last access lies farthest back.
#include <memory>
#include <vector>

#include "cache/eviction.h"

namespace sluice {
namespace {

class LruEviction final : public EvictionPolicy {
 public:
  explicit LruEviction(CacheShape shape) : shape_(shape), last_access_(shape.size()) {}

  void OnAccess(ExpertId id, uint64_t tick) override { last_access_[shape_.Index(id)] = tick; }
  void OnInsert(ExpertId /*id*/) override {}
  void OnRemove(ExpertId /*id*/) override {}

  ExpertId Victim(std::span<const ExpertId> candidates) override {
    ExpertId victim = candidates[0];
    for (const ExpertId id : candidates) {
      if (last_access_[shape_.Index(id)] < last_access_[shape_.Index(victim)]) victim = id;
    }
    return victim;
  }

 private:
  const CacheShape shape_;
  std::vector<uint64_t> last_access_;  // tick by expert
};

}  // namespace

std::unique_ptr<EvictionPolicy> NewLruEviction(CacheShape shape) {
  return std::make_unique<LruEviction>(shape);
}

}  // namespace sluice
