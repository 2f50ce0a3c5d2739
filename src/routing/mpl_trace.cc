// Traces of MoE-PolicyLang v0.7: a header line, then a line per token and layer. We also take the
// conversation `c`, and files without scores.
#include <fmt/format.h>

#include <utility>

#include "routing/json_fields.h"
#include "routing/json_lines.h"
#include "routing/trace_builder.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

using nlohmann::json;

bool Recognizes(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\n'));
  return line.starts_with('{') && line.find("\"num_layers\"") != std::string_view::npos &&
         line.find("\"num_experts\"") != std::string_view::npos;
}

Result<TraceMeta> ReadMeta(std::string_view line) {
  SLUICE_TRY_ASSIGN(const json object, ParseJson(line));
  TraceMeta meta;
  meta.model = TextFieldOrEmpty(object, "model_name");
  SLUICE_TRY_ASSIGN(meta.layers, IntegerField(object, "num_layers"));
  SLUICE_TRY_ASSIGN(meta.experts, IntegerField(object, "num_experts"));
  SLUICE_TRY_ASSIGN(meta.top_k, IntegerField(object, "top_k"));
  return meta;
}

class Lines {
 public:
  explicit Lines(TraceBuilder* builder) : builder_(*builder) {}

  Status Add(std::string_view line) {
    SLUICE_TRY(row_.Parse(line));
    TracedToken token;
    int32_t layer = 0;
    SLUICE_TRY(row_.Integer("t", &token.position));
    SLUICE_TRY(row_.Integer32("l", &layer));
    SLUICE_TRY(row_.Integers("e", &experts_));
    weights_.clear();
    if (row_.Has("s")) SLUICE_TRY(row_.Floats("s", &weights_));
    if (row_.Has("c")) {
      SLUICE_TRY(row_.Integer("c", &token.request));
    } else {
      // Without conversations, one begins where the tokens are counted anew.
      if (layer == 0 && token.position < last_position_) ++conversation_;
      token.request = conversation_;
    }
    last_position_ = token.position;
    if (builder_.meta().layers == 1) SLUICE_TRY(builder_.EndStep());
    return builder_.AddRow(layer, experts_, weights_, &token);
  }

 private:
  TraceBuilder& builder_;
  JsonRow row_;
  int64_t conversation_ = 0;
  int64_t last_position_ = 0;
  std::vector<int32_t> experts_;
  std::vector<float> weights_;
};

Result<Trace> Read(const File& file) {
  JsonLineReader in(&file);
  SLUICE_TRY_ASSIGN(const bool any, in.Next());
  if (!any) return CorruptError(file.name() + ": the trace is empty");
  Result<TraceMeta> meta = ReadMeta(in.line());
  if (!meta.ok()) return in.Annotate(meta.status());
  Result<TraceBuilder> builder = TraceBuilder::Create(std::move(meta).value());
  if (!builder.ok()) return in.Annotate(builder.status());
  Lines lines(&*builder);
  while (true) {
    SLUICE_TRY_ASSIGN(const bool more, in.Next());
    if (!more) break;
    if (Status status = lines.Add(in.line()); !status.ok()) return in.Annotate(status);
  }
  Result<Trace> trace = std::move(builder)->Finish();
  return trace.ok() ? std::move(trace) : in.Annotate(trace.status());
}

}  // namespace

TraceFormat MplTraceFormat();
TraceFormat MplTraceFormat() {
  return {.name = "mpl",
          .summary = "MoE-PolicyLang v0.7: a header, a line per token and layer",
          .recognizes = Recognizes,
          .read = Read};
}

}  // namespace sluice
