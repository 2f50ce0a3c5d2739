// Routing logs of a patched vLLM: a meta line, then a line of type "route" per token and layer, as
// its fused_topk was called.
//
// The log names neither the number of experts nor where steps begin. The experts are as many as
// the ids need (`num_experts` in the meta line says better); a step begins where the layers begin
// anew or, within a layer, where token_idx does not grow. The layers are those of `layers_logged`,
// numbered from 0 on.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
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
  return line.starts_with('{') && line.find("\"meta\"") != std::string_view::npos &&
         line.find("\"layers_logged\"") != std::string_view::npos;
}

// Highest id + 1 until the log has been read through.
constexpr int64_t kUnknownExperts = 65536;

struct Header {
  TraceMeta meta;
  bool experts_known = false;
  std::map<int64_t, int32_t> layers;  // number in the model -> number in the trace
};

Result<Header> ReadHeader(std::string_view line) {
  SLUICE_TRY_ASSIGN(const json object, ParseJson(line));
  if (TextFieldOrEmpty(object, "type") != "meta") {
    return CorruptError("a routing log begins with a line of type 'meta'");
  }
  Header header;
  header.meta.model = TextFieldOrEmpty(object, "model_id");
  SLUICE_TRY_ASSIGN(header.meta.top_k, IntegerField(object, "top_k"));
  if (object.contains("seed") && object["seed"].is_number_unsigned()) {
    header.meta.seed = object["seed"].get<uint64_t>();
  }
  header.experts_known = object.contains("num_experts");
  header.meta.experts = kUnknownExperts;
  if (header.experts_known) {
    SLUICE_TRY_ASSIGN(header.meta.experts, IntegerField(object, "num_experts"));
  }
  const auto logged = object.find("layers_logged");
  if (logged == object.end() || !logged->is_array() || logged->empty()) {
    return CorruptError("'layers_logged' is not a list of layers");
  }
  for (const json& layer : *logged) {
    if (!layer.is_number_unsigned() || layer.get<uint64_t>() > INT32_MAX) {
      return CorruptError("'layers_logged' holds something else than layers");
    }
    header.layers.emplace(layer.get<int64_t>(), 0);
  }
  int32_t next = 0;
  for (auto& [number, index] : header.layers) index = next++;
  header.meta.layers = next;
  return header;
}

class Lines {
 public:
  Lines(const Header& header, TraceBuilder* builder) : header_(header), builder_(*builder) {}

  int32_t max_expert() const { return max_expert_; }

  Status Add(std::string_view line) {
    SLUICE_TRY(row_.Parse(line));
    std::string text;
    SLUICE_TRY(row_.Text("type", &text));
    if (text != "route") return CorruptError(fmt::format("a line of type '{}'", text));
    TracedToken token;
    int64_t layer = 0;
    SLUICE_TRY(row_.Text("req_id", &text));
    SLUICE_TRY(row_.Integer("token_idx", &token.position));
    SLUICE_TRY(row_.Integer("layer", &layer));
    SLUICE_TRY(row_.Integers("topk_ids", &experts_));
    weights_.clear();
    if (row_.Has("topk_weights")) SLUICE_TRY(row_.Floats("topk_weights", &weights_));
    const auto known = header_.layers.find(layer);
    if (known == header_.layers.end()) {
      return CorruptError(fmt::format("layer {}, which 'layers_logged' does not name", layer));
    }
    token.request = requests_.emplace(text, static_cast<int64_t>(requests_.size())).first->second;
    if (last_ && known->second == 0 && last_layer_ == 0 && token.request == last_->request &&
        token.position <= last_->position) {
      SLUICE_TRY(builder_.EndStep());
    }
    last_ = token;
    last_layer_ = known->second;
    for (const int32_t expert : experts_) max_expert_ = std::max(max_expert_, expert);
    return builder_.AddRow(known->second, experts_, weights_, &token);
  }

 private:
  const Header& header_;
  TraceBuilder& builder_;
  JsonRow row_;
  std::map<std::string, int64_t> requests_;
  std::optional<TracedToken> last_;
  int32_t last_layer_ = -1;
  int32_t max_expert_ = -1;
  std::vector<int32_t> experts_;
  std::vector<float> weights_;
};

Result<Trace> Read(const File& file) {
  JsonLineReader in(&file);
  SLUICE_TRY_ASSIGN(const bool any, in.Next());
  if (!any) return CorruptError(file.name() + ": the log is empty");
  const Result<Header> header = ReadHeader(in.line());
  if (!header.ok()) return in.Annotate(header.status());
  TraceMeta meta = header->meta;
  // Until the experts are known the limit on layers x experts cannot be checked.
  const int64_t layers = meta.layers;
  if (!header->experts_known) meta.experts = std::min(meta.experts, (int64_t{1} << 22) / layers);
  Result<TraceBuilder> builder = TraceBuilder::Create(std::move(meta));
  if (!builder.ok()) return in.Annotate(builder.status());
  Lines lines(*header, &*builder);
  while (true) {
    SLUICE_TRY_ASSIGN(const bool more, in.Next());
    if (!more) break;
    if (Status status = lines.Add(in.line()); !status.ok()) return in.Annotate(status);
  }
  Result<Trace> trace = std::move(builder)->Finish();
  if (!trace.ok()) return in.Annotate(trace.status());
  if (!header->experts_known) {
    trace->meta.experts = std::max<int64_t>(lines.max_expert() + 1, trace->meta.top_k);
  }
  return trace;
}

}  // namespace

TraceFormat VllmTraceFormat();
TraceFormat VllmTraceFormat() {
  return {.name = "vllm",
          .summary = "routing log of a patched vLLM",
          .recognizes = Recognizes,
          .read = Read};
}

}  // namespace sluice
