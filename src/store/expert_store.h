// Where experts' bytes are: slots of an arena with a hard cap, filled by asynchronous direct reads.
//
// ExpertCache decides which expert gets which slot; the store moves the bytes and never decides.
// The life of a slot: Empty -> Filling (reads under way) -> Ready (packed for the device), and on
// to Filling again once the expert in it has been computed and another was given its slot.
// docs/expert-store.md draws it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cache/expert_cache.h"
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
  uint64_t bytes_read = 0;   // from disk, alignment included
  double stall_seconds = 0;  // waiting with nothing to compute
  double read_seconds = 0;   // with at least one read known to be under way
};

class ExpertStore {
 public:
  struct Options {
    int64_t slots = 1;
    std::string_view policy = "lru";
    // Reads that the kernel has at a time. An expert is three reads; beyond two experts in flight
    // depth adds latency, not bandwidth (measured on virtio and NVMe disks).
    int read_depth = 12;
    ReadQueue::Backend backend = ReadQueue::Backend::kAuto;
  };

  // `model`, `device` and `pool` outlive the store.
  static Result<std::unique_ptr<ExpertStore>> Create(const Model& model, const Device& device,
                                                     ThreadPool* pool, const Options& options);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  // Memory of one slot: as much as the largest expert needs, read alignment included.
  static uint64_t SlotBytes(const ExpertCatalog& experts);

  // Opens the call of one layer: decides, and starts every read whose slot is free. `groups` must
  // live until the call is over. One call at a time.
  void Begin(int32_t layer, std::span<const ExpertGroup> groups);

  // The experts that have become ready since the last call: residents first, then in the order of
  // arrival. Empty when all have been handed out, which ends the call. Each answer says that the
  // experts of the one before have been computed: their slots may be reused. Blocks only when
  // nothing is ready. After a failure the call is over, and what could not be read is forgotten.
  Result<std::span<const ReadyExpert>> Next();

  const CacheStats& cache_stats() const { return cache_->stats(); }
  const StoreStats& stats() const { return stats_; }
  const char* backend_name() const { return queue_->backend_name(); }
  int64_t slots() const { return cache_->slots(); }

 private:
  static constexpr int kSegments = 3;  // gate, up, down

  struct Slot {
    int reads_left = 0;
    bool ready = false;  // content is packed
    Status failure;      // of a read of the present content
  };
  enum class Progress { kWaiting, kReading, kArrived, kReady, kTaken, kDone };
  struct Entry {
    ExpertId id;
    size_t group = 0;
    int32_t slot = 0;
    int32_t after = -1;
    Progress progress = Progress::kWaiting;
  };
  struct Segment {
    const TensorExtent* extent;
    uint64_t offset;  // in the slot
  };

  ExpertStore(const Model& model, const Device& device, ThreadPool* pool)
      : model_(model), device_(device), pool_(*pool) {}

  static std::vector<Segment> Segments(const ExpertExtent& extent);
  std::byte* SlotAt(int32_t slot) const {
    return arena_.data() + static_cast<uint64_t>(slot) * slot_bytes_;
  }
  void StartReads(size_t index);
  void StartUnblocked();
  void Collect(bool block);
  void PackArrived();
  Status FailCall(const Status& cause);
  ExpertWeights WeightsOf(const Entry& entry) const;

  const Model& model_;
  const Device& device_;
  ThreadPool& pool_;
  std::unique_ptr<ExpertCache> cache_;
  PageBuffer arena_;
  uint64_t slot_bytes_ = 0;
  std::vector<Slot> slots_;
  std::vector<size_t> entry_of_slot_;  // that is reading into it, in the open call

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
