// Routing, written down: JSON lines, docs/trace-format.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "routing/clock_readings.h"
#include "routing/gate_guess.h"
#include "routing/routing.h"
#include "sluice/status.h"

namespace sluice {

struct TraceMeta {
  std::string model;
  std::string architecture;
  std::string dtype;  // of the experts
  int64_t layers = 0;
  int64_t experts = 0;
  int64_t top_k = 0;
  uint64_t seed = 0;
  // What a replay needs to repeat the decisions of the run. Other programs' traces do not say.
  std::string policy;       // its source text
  std::string policy_name;  // which policy of that text
  int64_t slots = 0;        // staging included
  int64_t staging = 0;      // of which for staging
  uint64_t expert_bytes = 0;
  double link_bytes_per_call = 0;  // what the link carries while one layer computes
};

// Whose token a row of a routing is.
struct TracedToken {
  int64_t request = 0;
  int64_t position = 0;  // in its sequence
};

// The file ends behind a whole step, also when the disk is full; behind a whole line if the process
// is killed.
class TraceWriter {
 public:
  // Creates `path` and writes the meta line.
  static Result<std::unique_ptr<TraceWriter>> Create(const std::string& path,
                                                     const TraceMeta& meta);
  ~TraceWriter();
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  // A step begins; a call of every layer follows. `readings` is null where the policy asks no
  // clock. After a failed write the rest is dropped: a full disk must not stop the answers.
  void BeginStep(int32_t tokens, const ClockReadings* readings);
  // Appends the guess that the call was decided with, if there was one, and a line per token.
  // Without weights in the routing the lines have none.
  void Record(int32_t layer, const Routing& routing, std::span<const TracedToken> tokens,
              const GateGuess& gate = {});
  // The step failed: nothing of it stays.
  void DropStep();
  // Brings everything to the file. Comes between steps.
  Status Flush();
  // The first failure, or ok.
  const Status& status() const { return status_; }

 private:
  TraceWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  void RecordGate(int32_t layer, const GateGuess& gate);
  void Write();
  void CutTo(uint64_t bytes);

  const std::string path_;
  const int fd_;
  uint64_t written_ = 0;     // bytes in the file
  uint64_t whole_ = 0;       // of which whole steps
  uint64_t step_begin_ = 0;  // bytes before the last step, written or in the buffer
  std::string buffer_;
  Status status_;
};

}  // namespace sluice
