#include "sim/virtual_link.h"

#include <algorithm>

namespace sluice {

VirtualLink::VirtualLink(const LinkModel& model, int64_t slots)
    : latency_(model.latency_seconds),
      carry_seconds_(model.expert_bytes / model.bytes_per_second),
      arrival_(static_cast<size_t>(slots)),
      waiting_(static_cast<size_t>(slots)) {}

void VirtualLink::Begin(int32_t slot, double now) {
  // Requests overlap their latencies: it shows only where the link was idle.
  free_at_ = std::max(free_at_, now + latency_) + carry_seconds_;
  arrival_[static_cast<size_t>(slot)] = free_at_;
  ++reads_;
}

void VirtualLink::Withdraw(int32_t slot) {
  if (waiting_[static_cast<size_t>(slot)] == 0) return;
  waiting_[static_cast<size_t>(slot)] = 0;
  std::erase_if(guesses_, [&](const Guess& guess) { return guess.slot == slot; });
}

void VirtualLink::AdvanceTo(double now) {
  while (!guesses_.empty() && std::max(free_at_, guesses_.front().asked) < now) {
    const Guess guess = guesses_.front();
    guesses_.pop_front();
    waiting_[static_cast<size_t>(guess.slot)] = 0;
    Begin(guess.slot, std::max(free_at_, guess.asked));
  }
}

void VirtualLink::Demand(int32_t slot, double now) {
  Withdraw(slot);
  Begin(slot, now);
}

void VirtualLink::Speculate(int32_t slot, double now) {
  Withdraw(slot);
  guesses_.push_back({.slot = slot, .asked = now});
  waiting_[static_cast<size_t>(slot)] = 1;
}

void VirtualLink::Promote(int32_t slot, double now) {
  if (waiting_[static_cast<size_t>(slot)] != 0) Demand(slot, now);
}

}  // namespace sluice
