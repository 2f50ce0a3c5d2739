// The list of formats that can be written, and the one that TraceWriter writes.
#include "routing/trace_writers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sluice {

std::span<const TraceOutput> TraceOutputs() {
  static const std::array outputs = {
      TraceOutput{.name = "jsonl",
                  .extension = ".jsonl",
                  .summary = "JSON lines, as sluice run --trace writes them",
                  .write = WriteJsonlTrace},
      TraceOutput{.name = "packed",
                  .extension = ".sltr",
                  .summary = "compact binary, for long traces",
                  .write = WritePackedTrace}};
  return outputs;
}

Status WriteTrace(const Trace& trace, const std::string& path, std::string_view format) {
  std::string known;
  for (const TraceOutput& output : TraceOutputs()) {
    if (format.empty() ? path.ends_with(output.extension) : format == output.name) {
      return output.write(trace, path);
    }
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", output.name, output.extension);
  }
  return InvalidArgumentError(
      format.empty()
          ? fmt::format("{}: the extension names no format to write; there are {}", path, known)
          : fmt::format("there is no format '{}' to write; there are {}", format, known));
}

Status WriteJsonlTrace(const Trace& trace, const std::string& path) {
  SLUICE_TRY_ASSIGN(const auto writer, TraceWriter::Create(path, trace.meta));
  const auto top_k = static_cast<size_t>(trace.meta.top_k);
  Routing routing{.top_k = trace.meta.top_k};
  std::vector<TracedToken> tokens;
  size_t conversation = 0;  // how many have begun
  int64_t position = 0;     // in the present one, of the step's first token
  for (size_t s = 0; s < trace.steps.size(); ++s) {
    const TraceStep& step = trace.steps[s];
    if (conversation < trace.conversations.size() && trace.conversations[conversation] == s) {
      ++conversation;
      position = 0;
    }
    writer->BeginStep(step.tokens, step.readings < 0
                                       ? nullptr
                                       : &trace.readings[static_cast<size_t>(step.readings)]);
    for (size_t c = step.first_call; c < step.first_call + step.calls; ++c) {
      const TraceCall& call = trace.calls[c];
      const auto rows = static_cast<size_t>(call.tokens);
      const auto first = static_cast<ptrdiff_t>(call.first_row * top_k);
      const auto end = static_cast<ptrdiff_t>((call.first_row + rows) * top_k);
      routing.tokens = call.tokens;
      routing.experts.assign(trace.experts.begin() + first, trace.experts.begin() + end);
      if (!trace.weights.empty()) {
        routing.weights.assign(trace.weights.begin() + first, trace.weights.begin() + end);
      }
      tokens.clear();
      for (size_t row = 0; row < rows; ++row) {
        tokens.push_back(trace.tokens.empty()
                             ? TracedToken{.request = static_cast<int64_t>(conversation) - 1,
                                           .position = position + static_cast<int64_t>(row)}
                             : trace.tokens[call.first_row + row]);
      }
      GateGuess gate;
      if (call.gate >= 0) {
        const TraceGate& owned = trace.gates[static_cast<size_t>(call.gate)];
        gate = {.layer = owned.layer, .experts = owned.experts};
      }
      writer->Record(call.layer, routing, tokens, gate);
    }
    position += step.tokens;
  }
  return writer->Flush();
}

}  // namespace sluice
