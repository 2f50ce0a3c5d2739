#include "store/expert_store.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/check.h"

namespace sluice {
namespace {

// A segment's room in a slot: the bytes read for it start at most one alignment unit early and end
// at most one late.
uint64_t SegmentRoom(uint64_t bytes) {
  return (bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment + kDirectAlignment;
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::vector<ExpertStore::Segment> ExpertStore::Segments(const ExpertExtent& extent) {
  std::vector<Segment> segments;
  uint64_t offset = 0;
  for (const TensorExtent* part : {&extent.gate, &extent.up, &extent.down}) {
    segments.push_back({.extent = part, .offset = offset});
    offset += SegmentRoom(part->bytes);
  }
  return segments;
}

uint64_t ExpertStore::SlotBytes(const ExpertCatalog& experts) {
  uint64_t largest = 0;
  for (const ExpertExtent& extent : experts.extents()) {
    largest = std::max(largest, SegmentRoom(extent.gate.bytes) + SegmentRoom(extent.up.bytes) +
                                    SegmentRoom(extent.down.bytes));
  }
  return largest;
}

Result<std::unique_ptr<ExpertStore>> ExpertStore::Create(const Model& model, const Device& device,
                                                         ThreadPool* pool, const Options& options) {
  std::unique_ptr<ExpertStore> store(new ExpertStore(model, device, pool));
  const CacheShape shape{.layers = static_cast<int32_t>(model.spec.layers),
                         .experts = static_cast<int32_t>(model.spec.moe.experts)};
  SLUICE_TRY_ASSIGN(store->cache_, ExpertCache::Create(shape, options.slots, options.policy));
  const auto slots = static_cast<uint64_t>(store->cache_->slots());
  store->slot_bytes_ = SlotBytes(model.experts);
  SLUICE_TRY_ASSIGN(store->arena_,
                    PageBuffer::Allocate(slots * store->slot_bytes_, "the slots of experts"));
  store->slots_.resize(slots);
  store->entry_of_slot_.resize(slots);
  SLUICE_TRY_ASSIGN(store->queue_, ReadQueue::Create(options.read_depth, options.backend));
  return store;
}

ExpertStore::~ExpertStore() = default;

void ExpertStore::Begin(int32_t layer, std::span<const ExpertGroup> groups) {
  SLUICE_CHECK(entries_.empty());
  std::vector<Demand> demands;
  for (const ExpertGroup& group : groups) {
    demands.push_back(
        {.expert = group.expert, .tokens = static_cast<int32_t>(group.assignments.size())});
  }
  for (const Placed& placed : cache_->Begin(layer, demands)) {
    const auto group = static_cast<size_t>(placed.demand);
    entries_.push_back({.id = {.layer = layer, .expert = groups[group].expert},
                        .group = group,
                        .slot = placed.slot,
                        .after = placed.after,
                        .progress = placed.hit ? Progress::kReady : Progress::kWaiting});
  }
  StartUnblocked();
}

void ExpertStore::StartUnblocked() {
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.progress != Progress::kWaiting) continue;
    const bool blocked =
        entry.after >= 0 && entries_[static_cast<size_t>(entry.after)].progress != Progress::kDone;
    if (!blocked) StartReads(i);
  }
}

void ExpertStore::StartReads(size_t index) {
  Entry& entry = entries_[index];
  Slot& slot = slots_[static_cast<size_t>(entry.slot)];
  slot = {.reads_left = kSegments, .ready = false, .failure = {}};
  entry_of_slot_[static_cast<size_t>(entry.slot)] = index;
  entry.progress = Progress::kReading;
  const std::vector<Segment> segments = Segments(model_.experts.Find(entry.id));
  for (size_t s = 0; s < segments.size(); ++s) {
    const TensorExtent& extent = *segments[s].extent;
    if (in_flight_++ == 0) busy_since_ = Now();
    stats_.bytes_read += ReadQueue::Extent(*extent.file, extent.offset, extent.bytes).bytes;
    queue_->Submit({.file = extent.file,
                    .offset = extent.offset,
                    .bytes = extent.bytes,
                    .buffer = SlotAt(entry.slot) + segments[s].offset,
                    .tag = static_cast<uint64_t>(entry.slot),
                    .urgency = Urgency::kDemand});
  }
}

void ExpertStore::Collect(bool block) {
  std::array<ReadCompletion, 64> completions;
  while (in_flight_ > 0) {
    size_t count = queue_->Poll(completions);
    if (count == 0 && block) {
      const double begin = Now();
      count = queue_->Wait(completions);
      stats_.stall_seconds += Now() - begin;
    }
    if (count == 0) return;
    block = false;
    in_flight_ -= static_cast<int64_t>(count);
    if (in_flight_ == 0) stats_.read_seconds += Now() - busy_since_;
    for (size_t i = 0; i < count; ++i) {
      Slot& slot = slots_[completions[i].tag];
      if (!completions[i].status.ok()) slot.failure = completions[i].status;
      if (--slot.reads_left == 0) {
        entries_[entry_of_slot_[completions[i].tag]].progress = Progress::kArrived;
      }
    }
  }
}

void ExpertStore::PackArrived() {
  struct Job {
    const TensorExtent* extent;
    const std::byte* from;
    std::byte* to;
  };
  std::vector<Job> jobs;
  for (Entry& entry : entries_) {
    if (entry.progress != Progress::kArrived) continue;
    for (const Segment& segment : Segments(model_.experts.Find(entry.id))) {
      std::byte* to = SlotAt(entry.slot) + segment.offset;
      const TensorExtent& extent = *segment.extent;
      const uint64_t skip = ReadQueue::Extent(*extent.file, extent.offset, extent.bytes).skip;
      jobs.push_back({.extent = &extent, .from = to + skip, .to = to});
    }
    slots_[static_cast<size_t>(entry.slot)].ready = true;
    entry.progress = Progress::kReady;
  }
  pool_.ParallelFor(static_cast<int64_t>(jobs.size()), [&](int64_t i) {
    const Job& job = jobs[static_cast<size_t>(i)];
    device_.Pack(job.extent->format, job.extent->rows, job.extent->cols, job.from, job.to);
  });
}

Status ExpertStore::FailCall(const Status& cause) {
  while (in_flight_ > 0) Collect(/*block=*/true);
  for (const Entry& entry : entries_) {
    if (!slots_[static_cast<size_t>(entry.slot)].ready || entry.progress == Progress::kWaiting ||
        entry.progress == Progress::kArrived) {
      cache_->Forget(entry.id);
    }
  }
  entries_.clear();
  return cause;
}

ExpertWeights ExpertStore::WeightsOf(const Entry& entry) const {
  const std::vector<Segment> segments = Segments(model_.experts.Find(entry.id));
  const auto view = [&](const Segment& segment) {
    return WeightView{.bytes = SlotAt(entry.slot) + segment.offset,
                      .format = segment.extent->format,
                      .rows = segment.extent->rows,
                      .cols = segment.extent->cols};
  };
  return {.gate = view(segments[0]), .up = view(segments[1]), .down = view(segments[2])};
}

Result<std::span<const ReadyExpert>> ExpertStore::Next() {
  bool all_done = true;
  for (Entry& entry : entries_) {
    if (entry.progress == Progress::kTaken) entry.progress = Progress::kDone;
    all_done = all_done && entry.progress == Progress::kDone;
  }
  ready_.clear();
  if (all_done) {
    entries_.clear();
    return std::span<const ReadyExpert>();
  }
  StartUnblocked();
  for (bool block = false; ready_.empty(); block = true) {
    Collect(block);
    for (const Entry& entry : entries_) {
      const Slot& slot = slots_[static_cast<size_t>(entry.slot)];
      if (entry.progress == Progress::kArrived && !slot.failure.ok()) return FailCall(slot.failure);
    }
    PackArrived();
    for (Entry& entry : entries_) {
      if (entry.progress != Progress::kReady) continue;
      entry.progress = Progress::kTaken;
      ready_.push_back({.group = entry.group, .weights = WeightsOf(entry)});
    }
  }
  return std::span<const ReadyExpert>(ready_);
}

}  // namespace sluice
