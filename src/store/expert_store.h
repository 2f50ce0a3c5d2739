// Where experts' bytes are: slots of an arena with a hard cap, filled by asynchronous direct reads.
//
// DecisionCore decides which expert gets which slot; the store moves the bytes and never decides.
// The life of a slot: empty, filling (reads under way), filled, ready (laid out for the device),
// and on to filling again once another expert was given the slot. docs/expert-store.md draws it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cache/decision_core.h"
#include "device/device.h"
#include "model/model.h"
#include "routing/routing.h"
#include "sluice/status.h"

namespace sluice {

// An expert that can be computed now: `group` is its index in the groups given to Begin.
struct ReadyExpert {
  size_t group = 0;
  ExpertWeights weights;
};

struct StoreStats {
  uint64_t bytes_read = 0;            // from disk, alignment included
  double stall_seconds = 0;           // waiting with nothing to compute
  double read_seconds = 0;            // with at least one read known to be under way
  uint64_t experts_used = 0;          // each once per call
  uint64_t prefetches_cancelled = 0;  // experts whose speculative read was dropped unread
};

class ExpertStore {
 public:
  struct Options {
    // Of reads that the kernel has at a time. Beyond this more of them add no bandwidth, and all
    // arrive late: experts are computed while those behind them travel. docs/expert-store.md
    uint64_t bytes_in_flight = uint64_t{4} << 20;
    ReadQueue::Backend backend = ReadQueue::Backend::kAuto;
  };

  // `model`, `device`, `pool` and `core` outlive the store. Starts to read what the core's policy
  // wants to be there from the start.
  static Result<std::unique_ptr<ExpertStore>> Create(const Model& model, const Device& device,
                                                     ThreadPool* pool, DecisionCore* core,
                                                     const Options& options);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  // Memory of one slot: as much as the largest expert needs, read alignment included.
  static uint64_t SlotBytes(const ExpertCatalog& experts);

  // Memory that each thread takes to lay out experts whose matrices lie transposed in the file.
  static uint64_t ScratchBytes(const ExpertCatalog& experts);

  // Opens the call of one layer: has the core decide, and starts every read whose slot is free.
  // `groups` are the distinct experts of the routing, in the order in which its rows meet them, and
  // must live until the call is over. One call at a time.
  void Begin(const LayerRouting& routing, std::span<const ExpertGroup> groups);

  // The experts that have become ready since the last call: residents first, then in the order of
  // arrival. Empty when all have been handed out, which ends the call. Each answer says that the
  // experts of the one before have been computed: their slots may be reused. Blocks only when
  // nothing is ready. After a failure the call is over, and what could not be read is forgotten.
  Result<std::span<const ReadyExpert>> Next();

  const StoreStats& stats() const { return stats_; }
  const char* backend_name() const { return queue_->backend_name(); }
  // Reads that wait or are under way.
  int64_t queue_depth() const {
    return in_flight_ + std::ssize(speculation_) * static_cast<int64_t>(kSegments);
  }

 private:
  static constexpr size_t kSegments = 3;  // gate, up, down

  enum class Content { kEmpty, kQueued, kFilling, kFilled, kReady };
  enum class Part : uint8_t { kAway, kArrived, kPacked };
  struct Slot {
    ExpertId id;  // whose slot it is
    Content content = Content::kEmpty;
    std::array<Part, kSegments> parts{};
    int reads_left = 0;        // under way into it
    bool stale = false;        // they are of an expert that had the slot before
    bool speculative = false;  // nobody has demanded it yet
    Status failure;            // of a read of the present expert
  };
  enum class Progress { kWaiting, kStarted, kTaken, kDone };
  struct Entry {
    ExpertId id;
    size_t group = 0;
    int32_t slot = 0;
    int32_t after = -1;
    bool hit = false;
    Progress progress = Progress::kWaiting;
  };
  struct Segment {
    const TensorExtent* extent;
    uint64_t offset;  // in the slot
  };

  ExpertStore(const Model& model, const Device& device, ThreadPool* pool, DecisionCore* core)
      : model_(model), device_(device), pool_(*pool), core_(*core) {}

  static uint64_t TagOf(int32_t slot, size_t segment);
  static std::vector<Segment> Segments(const ExpertExtent& extent);
  std::byte* SlotAt(int32_t slot) const {
    return arena_.data() + static_cast<uint64_t>(slot) * slot_bytes_;
  }
  Slot& SlotOf(const Entry& entry) { return slots_[static_cast<size_t>(entry.slot)]; }
  void Assign(int32_t index, ExpertId id, bool speculative);
  void StartReads(int32_t index);
  void Demand(int32_t index);
  void StartUnblocked();
  void Speculate();
  void Prefetch(std::span<const sluice::Prefetch> prefetches);
  void Collect(bool block);
  void OnCompletion(const ReadCompletion& completion);
  void PackArrived();
  // By value: the cause lies in a slot that is about to change.
  Status FailCall(Status cause);
  ExpertWeights WeightsOf(const Entry& entry) const;

  const Model& model_;
  const Device& device_;
  ThreadPool& pool_;
  DecisionCore& core_;
  PageBuffer arena_;
  uint64_t slot_bytes_ = 0;
  std::vector<Slot> slots_;
  std::deque<int32_t> speculation_;  // slots whose speculative reads have not been submitted
  int32_t speculating_ = 0;          // experts whose speculative reads are under way

  // The open call.
  std::vector<Entry> entries_;
  std::vector<ReadyExpert> ready_;

  int64_t in_flight_ = 0;
  double busy_since_ = 0;
  StoreStats stats_;
  // Last: its destructor waits for reads into the arena.
  std::unique_ptr<ReadQueue> queue_;
};

}  // namespace sluice
