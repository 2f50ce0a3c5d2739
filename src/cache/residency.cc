#include "cache/residency.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace sluice {

Residency::Residency(CacheShape shape, std::vector<int32_t> capacities, int32_t staging)
    : shape_(shape), staging_(staging), experts_(shape.size()), domains_(capacities.size()) {
  SLUICE_CHECK(capacities.size() == 1 || capacities.size() == static_cast<size_t>(shape.layers));
  int32_t slots = staging;
  for (size_t d = 0; d < capacities.size(); ++d) {
    domains_[d].capacity = capacities[d];
    domains_[d].residents.reserve(static_cast<size_t>(capacities[d]));
    slots += capacities[d];
  }
  staged_.reserve(static_cast<size_t>(staging));
  free_.resize(static_cast<size_t>(slots));
  std::iota(free_.rbegin(), free_.rend(), 0);
}

int32_t Residency::TakeSlot() {
  SLUICE_CHECK(!free_.empty());
  const int32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void Residency::Enter(ExpertKey key) {
  Domain& domain = domains_[DomainOf(key)];
  SLUICE_CHECK(std::ssize(domain.residents) < domain.capacity);
  Expert& expert = experts_[static_cast<size_t>(key)];
  expert.place = Place::kCache;
  expert.position = static_cast<int32_t>(domain.residents.size());
  domain.residents.push_back(key);
  ++resident_count_;
}

int32_t Residency::Insert(ExpertKey key) {
  Expert& expert = experts_[static_cast<size_t>(key)];
  SLUICE_CHECK(expert.place == Place::kAbsent);
  Enter(key);
  return expert.slot = TakeSlot();
}

int32_t Residency::Stage(ExpertKey key) {
  Expert& expert = experts_[static_cast<size_t>(key)];
  SLUICE_CHECK(expert.place == Place::kAbsent && HasStagingRoom());
  expert.place = Place::kStaging;
  staged_.push_back(key);
  return expert.slot = TakeSlot();
}

void Residency::Promote(ExpertKey key) {
  SLUICE_CHECK(Staged(key));
  staged_.erase(std::ranges::find(staged_, key));
  Enter(key);
}

void Residency::Remove(ExpertKey key) {
  Expert& expert = experts_[static_cast<size_t>(key)];
  SLUICE_CHECK(expert.place != Place::kAbsent);
  if (expert.place == Place::kStaging) {
    staged_.erase(std::ranges::find(staged_, key));
  } else {
    std::vector<ExpertKey>& residents = domains_[DomainOf(key)].residents;
    const ExpertKey last = residents.back();
    residents[static_cast<size_t>(expert.position)] = last;
    experts_[static_cast<size_t>(last)].position = expert.position;
    residents.pop_back();
    --resident_count_;
  }
  free_.push_back(expert.slot);
  expert = {};
}

}  // namespace sluice
