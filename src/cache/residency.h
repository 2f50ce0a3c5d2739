// Which expert lies in which slot: the bookkeeping under DecisionCore. Knows capacities, not rules.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

class Residency {
 public:
  // `capacities`: slots of each domain: one per layer, or one for all layers together.
  // `staging`: slots that hold staged experts. All slots are numbered from 0.
  Residency(CacheShape shape, std::vector<int32_t> capacities, int32_t staging);

  size_t domains() const { return domains_.size(); }
  size_t DomainOf(ExpertKey key) const {
    return domains_.size() == 1 ? 0 : static_cast<size_t>(key / shape_.experts);
  }
  bool Cached(ExpertKey key) const { return Of(key).place == Place::kCache; }
  bool Staged(ExpertKey key) const { return Of(key).place == Place::kStaging; }
  bool Absent(ExpertKey key) const { return Of(key).place == Place::kAbsent; }
  int32_t slot(ExpertKey key) const { return Of(key).slot; }

  int32_t capacity(size_t domain) const { return domains_[domain].capacity; }
  // Experts of the domain's cache, in no particular order.
  std::span<const ExpertKey> residents(size_t domain) const { return domains_[domain].residents; }
  bool HasRoom(size_t domain) const {
    return std::ssize(domains_[domain].residents) < domains_[domain].capacity;
  }
  int64_t resident_count() const { return resident_count_; }

  int32_t staging() const { return staging_; }
  std::span<const ExpertKey> staged() const { return staged_; }  // oldest first
  bool HasStagingRoom() const { return std::ssize(staged_) < staging_; }

  // Absent -> Cached or Staged; gives the slot. REQUIRES: room.
  int32_t Insert(ExpertKey key);
  int32_t Stage(ExpertKey key);
  // Staged -> Cached, in the same slot. REQUIRES: room in the domain.
  void Promote(ExpertKey key);
  // -> Absent.
  void Remove(ExpertKey key);

  // May leave the domain with more residents than slots: remove them before anything is inserted.
  // REQUIRES: the sum of all capacities does not grow beyond what it was at first.
  void SetCapacity(size_t domain, int32_t capacity) { domains_[domain].capacity = capacity; }

 private:
  enum class Place : uint8_t { kAbsent, kCache, kStaging };
  struct Expert {
    Place place = Place::kAbsent;
    int32_t slot = -1;
    int32_t position = -1;  // among the residents of its domain
  };
  struct Domain {
    int32_t capacity = 0;
    std::vector<ExpertKey> residents;
  };

  const Expert& Of(ExpertKey key) const { return experts_[static_cast<size_t>(key)]; }
  int32_t TakeSlot();
  void Enter(ExpertKey key);

  const CacheShape shape_;
  const int32_t staging_;
  std::vector<Expert> experts_;  // by key
  std::vector<Domain> domains_;
  std::vector<ExpertKey> staged_;
  std::vector<int32_t> free_;  // slots, next one last
  int64_t resident_count_ = 0;
};

}  // namespace sluice
