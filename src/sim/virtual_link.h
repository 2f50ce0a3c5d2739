// A link that carries experts on a virtual clock: what a replay has instead of a disk.
//
// An expert is read in three parts: gate, up and down. One part at a time, demand before guesses; a
// part that has begun is finished, so a guess gives way to a demand between its parts, and goes on
// where it stopped. Times are seconds since the replay began.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace sluice {

// The machine that a replay pretends to be.
struct LinkModel {
  double bytes_per_second = 1.2e9;
  double latency_seconds = 100e-6;  // from asking to the first byte; reads overlap theirs
  double expert_bytes = 0;          // 0: what the trace says
  // Of one layer for one token: attention, router and top_k experts. A call that touches more
  // experts takes proportionally longer (memory-bound).
  double compute_seconds = 1e-3;
  // The share of it, 0 to 1, that comes before the router has spoken: so long nobody can demand an
  // expert, and the link carries guesses or nothing. A third of the weights that a token of
  // Qwen3-30B-A3B meets are no expert's, of gpt-oss-20b a fifth.
  double dense_share = 0.25;
  // Where slow memory is RAM rather than a disk, an expert computed in place needs no transfer, and
  // takes this long per token that chose it.
  bool slow_is_ram = false;
  double in_place_seconds = 1e-3;
};

class VirtualLink {
 public:
  // `slots`: of the dispatches to come.
  VirtualLink(const LinkModel& model, int64_t slots);

  // A read into `slot` that somebody waits for. What was under way into the slot has lost its
  // point.
  void Demand(int32_t slot, double now);
  // One that nobody waits for yet.
  void Speculate(int32_t slot, double now);
  // Somebody waits for the slot now: what a guess lacks still becomes a demand.
  void Promote(int32_t slot, double now);
  // Lets guesses use the link's idle time up to `now`.
  void AdvanceTo(double now);

  // When the slot's content has arrived. REQUIRES: it is no waiting guess.
  double arrival(int32_t slot) const { return arrival_[static_cast<std::size_t>(slot)]; }
  // Carried so far, in experts: a guess that nobody wanted any more may have got only part of its
  // own.
  double experts_read() const { return static_cast<double>(parts_read_) / kParts; }

 private:
  static constexpr int kParts = 3;
  struct Guess {
    int32_t slot;
    double asked;
    int left = kParts;
  };
  // Parts that are asked for at `asked`, after all that the link carries already.
  void Carry(int parts, double asked);
  std::deque<Guess>::iterator Find(int32_t slot);

  const double latency_;
  const double part_seconds_;
  double free_at_ = 0;            // when the link has nothing more to carry
  std::vector<double> arrival_;   // by slot
  std::vector<uint8_t> waiting_;  // by slot: in guesses_
  std::deque<Guess> guesses_;
  uint64_t parts_read_ = 0;
};

}  // namespace sluice
