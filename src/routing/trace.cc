#include "routing/trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <iterator>
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
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    return IoError(fmt::format("{}: cannot write the trace: {}", path,
                               std::generic_category().message(errno)));
  }
  std::unique_ptr<TraceWriter> writer(new TraceWriter(path, file));
  writer->buffer_ = FormatTraceMeta(meta) + "\n";
  SLUICE_TRY(writer->Flush());
  return writer;
}

TraceWriter::~TraceWriter() {
  Write();
  std::fclose(file_);
}

void TraceWriter::BeginStep(int32_t tokens, const ClockReadings* readings) {
  if (!status_.ok()) return;
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
  if (buffer_.size() >= kBufferBytes) Write();
}

void TraceWriter::Write() {
  if (status_.ok() && std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) {
    status_ = IoError(fmt::format("{}: writing the trace failed: {}", path_,
                                  std::generic_category().message(errno)));
  }
  buffer_.clear();
}

Status TraceWriter::Flush() {
  Write();
  if (status_.ok() && std::fflush(file_) != 0) {
    status_ = IoError(fmt::format("{}: writing the trace failed: {}", path_,
                                  std::generic_category().message(errno)));
  }
  return status_;
}

}  // namespace sluice
