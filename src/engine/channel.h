// TokenStream::Channel: what the engine thread and the owner of a TokenStream share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "sluice/engine.h"

namespace sluice {

class TokenStream::Channel {
 public:
  explicit Channel(std::vector<int32_t> ids) : prompt_ids(std::move(ids)) {
    stats_.prompt_tokens = static_cast<int64_t>(prompt_ids.size());
  }

  // Engine thread.
  void Push(Event event) {
    if (!event.logits.empty()) queued_logits_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    arrived_.notify_one();
  }
  // No more events; a failed status is what Next() ends with.
  void Close(Status status) {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      status_ = std::move(status);
    }
    arrived_.notify_one();
  }
  template <typename Change>
  void UpdateStats(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(&stats_);
  }
  // Events with logits that nobody has taken yet: they are large, so the engine does not run ahead.
  int64_t queued_logits() const { return queued_logits_.load(std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // The stream's owner.
  Result<std::optional<Event>> Next() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return closed_ || !events_.empty(); });
    if (!events_.empty()) {
      std::optional<Event> event = std::move(events_.front());
      events_.pop_front();
      if (!event->logits.empty()) queued_logits_.fetch_sub(1, std::memory_order_relaxed);
      return event;
    }
    if (!status_.ok()) return status_;
    return std::optional<Event>();
  }
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  RequestStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  const std::vector<int32_t> prompt_ids;

 private:
  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> queued_logits_{0};
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable arrived_;
  std::deque<Event> events_;
  bool closed_ = false;
  Status status_;
  RequestStats stats_;
};

}  // namespace sluice
