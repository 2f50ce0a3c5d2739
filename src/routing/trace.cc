#include "routing/trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <iterator>
#include <system_error>

namespace sluice {
namespace {

constexpr size_t kBufferBytes = 256U << 10;

// A JSON string: quotes, backslashes and control characters escaped.
std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
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
  fmt::format_to(std::back_inserter(writer->buffer_),
                 "{{\"type\":\"meta\",\"version\":1,\"model\":{},\"architecture\":{},\"layers\":{},"
                 "\"experts\":{},\"top_k\":{},\"dtype\":{},\"seed\":{}}}\n",
                 Quoted(meta.model), Quoted(meta.architecture), meta.layers, meta.experts,
                 meta.top_k, Quoted(meta.dtype), meta.seed);
  SLUICE_TRY(writer->Flush());
  return writer;
}

TraceWriter::~TraceWriter() {
  Write();
  std::fclose(file_);
}

void TraceWriter::Record(int32_t layer, const Routing& routing,
                         std::span<const TracedToken> tokens) {
  if (!status_.ok()) return;
  auto out = std::back_inserter(buffer_);
  const auto top_k = static_cast<size_t>(routing.top_k);
  for (size_t t = 0; t < tokens.size(); ++t) {
    fmt::format_to(out, "{{\"r\":{},\"t\":{},\"l\":{},\"e\":[", tokens[t].request,
                   tokens[t].position, layer);
    for (size_t i = 0; i < top_k; ++i) {
      fmt::format_to(out, "{}{}", i == 0 ? "" : ",", routing.experts[t * top_k + i]);
    }
    buffer_ += "],\"w\":[";
    for (size_t i = 0; i < top_k; ++i) {
      const float weight = routing.weights[t * top_k + i];
      if (std::isfinite(weight)) {
        fmt::format_to(out, "{}{:.6g}", i == 0 ? "" : ",", weight);
      } else {
        fmt::format_to(out, "{}null", i == 0 ? "" : ",");  // JSON has no NaN
      }
    }
    buffer_ += "]}\n";
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
