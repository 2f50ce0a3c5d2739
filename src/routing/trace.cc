#include "routing/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "routing/trace_meta.h"

namespace sluice {
namespace {

constexpr size_t kBufferBytes = 256U << 10;

// As few digits as give back the same number.
template <typename Float>
void AppendNumber(Float number, std::string* out) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(*out), "{}", number);
  } else {
    *out += "null";  // JSON has no NaN
  }
}

}  // namespace

Result<std::unique_ptr<TraceWriter>> TraceWriter::Create(const std::string& path,
                                                         const TraceMeta& meta) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    return IoError(fmt::format("{}: cannot write the trace: {}", path,
                               std::generic_category().message(errno)));
  }
  std::unique_ptr<TraceWriter> writer(new TraceWriter(path, fd));
  writer->buffer_ = FormatTraceMeta(meta) + "\n";
  SLUICE_TRY(writer->Flush());
  return writer;
}

TraceWriter::~TraceWriter() {
  (void)Flush();
  close(fd_);
}

void TraceWriter::BeginStep(int32_t tokens, const ClockReadings* readings) {
  if (!status_.ok()) return;
  step_begin_ = written_ + buffer_.size();
  fmt::format_to(std::back_inserter(buffer_), "{{\"type\":\"step\",\"tokens\":{}", tokens);
  if (readings != nullptr) {
    const std::pair<const char*, double> fields[] = {
        {"seconds", readings->seconds},
        {"stall_ms", readings->stall_ms},
        {"tokens_per_second", readings->tokens_per_second},
        {"slow_mbps", readings->slow_mbps},
        {"queue_depth", readings->queue_depth},
        {"free_memory_bytes", readings->free_memory_bytes}};
    const char* before = ",\"clock\":{";
    for (const auto& [key, value] : fields) {
      fmt::format_to(std::back_inserter(buffer_), "{}\"{}\":", before, key);
      AppendNumber(value, &buffer_);
      before = ",";
    }
    buffer_ += '}';
  }
  buffer_ += "}\n";
}

void TraceWriter::RecordGate(int32_t layer, const GateGuess& gate) {
  auto out = std::back_inserter(buffer_);
  fmt::format_to(out, "{{\"type\":\"gate\",\"l\":{},\"of\":{},\"e\":[", layer, gate.layer);
  const char* before = "";
  for (const Likely& likely : gate.experts) {
    fmt::format_to(out, "{}{}", std::exchange(before, ","), likely.expert);
  }
  buffer_ += "],\"p\":[";
  before = "";
  for (const Likely& likely : gate.experts) {
    buffer_ += std::exchange(before, ",");
    AppendNumber(likely.probability, &buffer_);
  }
  buffer_ += "]}\n";
}

void TraceWriter::Record(int32_t layer, const Routing& routing, std::span<const TracedToken> tokens,
                         const GateGuess& gate) {
  if (!status_.ok()) return;
  if (gate.layer >= 0) RecordGate(layer, gate);
  auto out = std::back_inserter(buffer_);
  const auto top_k = static_cast<size_t>(routing.top_k);
  for (size_t t = 0; t < tokens.size(); ++t) {
    fmt::format_to(out, "{{\"r\":{},\"t\":{},\"l\":{},\"e\":[", tokens[t].request,
                   tokens[t].position, layer);
    for (size_t i = 0; i < top_k; ++i) {
      fmt::format_to(out, "{}{}", i == 0 ? "" : ",", routing.experts[t * top_k + i]);
    }
    buffer_ += ']';
    const char* before = ",\"w\":[";
    for (size_t i = 0; i < top_k && !routing.weights.empty(); ++i) {
      buffer_ += std::exchange(before, ",");
      AppendNumber(routing.weights[t * top_k + i], &buffer_);
    }
    buffer_ += routing.weights.empty() ? "}\n" : "]}\n";
  }
  if (buffer_.size() < kBufferBytes) return;
  Write();
  whole_ = std::min(step_begin_, written_);
}

// What cannot be cut is a pipe, and what was written to it has gone.
void TraceWriter::CutTo(uint64_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  if (ftruncate(fd_, size) == 0 && lseek(fd_, size, SEEK_SET) == size) written_ = bytes;
}

void TraceWriter::DropStep() {
  if (written_ <= step_begin_) {
    buffer_.resize(std::min<size_t>(buffer_.size(), step_begin_ - written_));
  } else {
    buffer_.clear();
    CutTo(step_begin_);
  }
}

void TraceWriter::Write() {
  std::string_view left;
  if (status_.ok()) left = buffer_;
  while (!left.empty()) {
    const ssize_t n = write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status_ = IoError(fmt::format("{}: writing the trace failed: {}", path_,
                                    std::generic_category().message(errno)));
      CutTo(whole_);
      break;
    }
    left.remove_prefix(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
  buffer_.clear();
}

Status TraceWriter::Flush() {
  Write();
  if (status_.ok()) whole_ = written_;
  return status_;
}

}  // namespace sluice
