// The traces that TraceWriter writes, docs/trace-format.md: JSON lines, versions 1 and 2.
#include <fmt/format.h>

#include <utility>

#include "routing/json_fields.h"
#include "routing/json_lines.h"
#include "routing/trace_builder.h"
#include "routing/trace_meta.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

using nlohmann::json;

bool Recognizes(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\n'));
  return line.starts_with('{') && line.find("\"meta\"") != std::string_view::npos &&
         line.find("\"version\"") != std::string_view::npos &&
         line.find("\"top_k\"") != std::string_view::npos;
}

Result<ClockReadings> ReadClock(const json& clock) {
  ClockReadings readings;
  SLUICE_TRY_ASSIGN(readings.seconds, NumberField(clock, "seconds"));
  SLUICE_TRY_ASSIGN(readings.stall_ms, NumberField(clock, "stall_ms"));
  SLUICE_TRY_ASSIGN(readings.tokens_per_second, NumberField(clock, "tokens_per_second"));
  SLUICE_TRY_ASSIGN(readings.slow_mbps, NumberField(clock, "slow_mbps"));
  SLUICE_TRY_ASSIGN(readings.queue_depth, NumberField(clock, "queue_depth"));
  SLUICE_TRY_ASSIGN(readings.free_memory_bytes, NumberField(clock, "free_memory_bytes"));
  return readings;
}

// What one line after another does to the trace.
class Lines {
 public:
  Lines(TraceBuilder* builder, int64_t version) : builder_(*builder), version_(version) {}

  Status Add(std::string_view line) {
    SLUICE_TRY(row_.Parse(line));
    if (!row_.Has("type")) return AddRow();
    SLUICE_TRY(row_.Text("type", &type_));
    if (version_ >= 2 && type_ == "step") return AddStep(line);
    if (version_ >= 2 && type_ == "gate") return AddGate();
    return CorruptError(fmt::format("a line of type '{}' has no place here", type_));
  }

 private:
  Status AddRow() {
    if (version_ >= 2 && !any_step_) return CorruptError("a row outside of any step");
    TracedToken token;
    int32_t layer = 0;
    SLUICE_TRY(row_.Integer("r", &token.request));
    SLUICE_TRY(row_.Integer("t", &token.position));
    SLUICE_TRY(row_.Integer32("l", &layer));
    SLUICE_TRY(row_.Integers("e", &experts_));
    weights_.clear();
    if (row_.Has("w")) SLUICE_TRY(row_.Floats("w", &weights_));
    // Version 1 does not say where steps end. With one layer nothing else does: take tokens alone.
    if (version_ == 1 && builder_.meta().layers == 1) SLUICE_TRY(builder_.EndStep());
    return builder_.AddRow(layer, experts_, weights_, &token);
  }

  Status AddStep(std::string_view line) {
    any_step_ = true;
    int32_t tokens = 0;
    SLUICE_TRY(row_.Integer32("tokens", &tokens));
    if (!row_.Has("clock")) return builder_.BeginStep(tokens, nullptr);
    SLUICE_TRY_ASSIGN(const json object, ParseJson(line));
    SLUICE_TRY_ASSIGN(const ClockReadings readings, ReadClock(object["clock"]));
    return builder_.BeginStep(tokens, &readings);
  }

  Status AddGate() {
    int32_t layer = 0;
    TraceGate gate;
    SLUICE_TRY(row_.Integer32("l", &layer));
    SLUICE_TRY(row_.Integer32("of", &gate.layer));
    SLUICE_TRY(row_.Integers("e", &experts_));
    SLUICE_TRY(row_.Floats("p", &weights_));
    if (experts_.size() != weights_.size()) {
      return CorruptError(fmt::format("a gate guess of {} experts with {} probabilities",
                                      experts_.size(), weights_.size()));
    }
    for (size_t i = 0; i < experts_.size(); ++i) {
      gate.experts.push_back({.expert = experts_[i], .probability = weights_[i]});
    }
    return builder_.AddGate(layer, std::move(gate));
  }

  TraceBuilder& builder_;
  const int64_t version_;
  bool any_step_ = false;
  JsonRow row_;
  std::string type_;
  std::vector<int32_t> experts_;
  std::vector<float> weights_;
};

Result<Trace> Read(const File& file) {
  JsonLineReader in(&file);
  SLUICE_TRY_ASSIGN(const bool any, in.Next());
  if (!any) return CorruptError(file.name() + ": the trace is empty");
  int64_t version = 0;
  Result<TraceMeta> meta = ParseTraceMeta(in.line(), &version);
  if (!meta.ok()) return in.Annotate(meta.status());
  Result<TraceBuilder> builder = TraceBuilder::Create(std::move(meta).value());
  if (!builder.ok()) return in.Annotate(builder.status());
  Lines lines(&*builder, version);
  while (true) {
    SLUICE_TRY_ASSIGN(const bool more, in.Next());
    if (!more) break;
    if (Status status = lines.Add(in.line()); !status.ok()) return in.Annotate(status);
  }
  Result<Trace> trace = std::move(builder)->Finish();
  return trace.ok() ? std::move(trace) : in.Annotate(trace.status());
}

}  // namespace

TraceFormat JsonlTraceFormat();
TraceFormat JsonlTraceFormat() {
  return {.name = "jsonl",
          .summary = "what sluice run --trace writes",
          .recognizes = Recognizes,
          .read = Read};
}

}  // namespace sluice
