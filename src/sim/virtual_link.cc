#include "sim/virtual_link.h"

#include <algorithm>

namespace sluice {

VirtualLink::VirtualLink(const LinkModel& model, int64_t slots)
    : latency_(model.latency_seconds),
      part_seconds_(model.expert_bytes / model.bytes_per_second / kParts),
      arrival_(static_cast<size_t>(slots)),
      waiting_(static_cast<size_t>(slots)) {}

void VirtualLink::Carry(int parts, double asked) {
  // Requests overlap their latencies: it shows only where the link was idle.
  free_at_ = std::max(free_at_, asked + latency_) + parts * part_seconds_;
  parts_read_ += static_cast<uint64_t>(parts);
}

std::deque<VirtualLink::Guess>::iterator VirtualLink::Find(int32_t slot) {
  if (waiting_[static_cast<size_t>(slot)] == 0) return guesses_.end();
  return std::find_if(guesses_.begin(), guesses_.end(),
                      [&](const Guess& guess) { return guess.slot == slot; });
}

void VirtualLink::AdvanceTo(double now) {
  while (!guesses_.empty() && std::max(free_at_, guesses_.front().asked) < now) {
    Guess& guess = guesses_.front();
    Carry(1, guess.asked);
    if (--guess.left > 0) continue;
    arrival_[static_cast<size_t>(guess.slot)] = free_at_;
    waiting_[static_cast<size_t>(guess.slot)] = 0;
    guesses_.pop_front();
  }
}

void VirtualLink::Demand(int32_t slot, double now) {
  if (const auto guess = Find(slot); guess != guesses_.end()) guesses_.erase(guess);
  waiting_[static_cast<size_t>(slot)] = 0;
  Carry(kParts, now);
  arrival_[static_cast<size_t>(slot)] = free_at_;
}

void VirtualLink::Speculate(int32_t slot, double now) {
  if (const auto guess = Find(slot); guess != guesses_.end()) guesses_.erase(guess);
  guesses_.push_back({.slot = slot, .asked = now});
  waiting_[static_cast<size_t>(slot)] = 1;
}

void VirtualLink::Promote(int32_t slot, double now) {
  const auto guess = Find(slot);
  if (guess == guesses_.end()) return;
  Carry(guess->left, now);
  arrival_[static_cast<size_t>(slot)] = free_at_;
  waiting_[static_cast<size_t>(slot)] = 0;
  guesses_.erase(guess);
}

}  // namespace sluice
