// The meta line of docs/trace-format.md.
#include "routing/trace_meta.h"

#include <fmt/format.h>

#include <cmath>

#include "routing/json_fields.h"

namespace sluice {

using nlohmann::json;

std::string FormatTraceMeta(const TraceMeta& meta) {
  nlohmann::ordered_json object = {{"type", "meta"},
                                   {"version", 2},
                                   {"model", meta.model},
                                   {"architecture", meta.architecture},
                                   {"layers", meta.layers},
                                   {"experts", meta.experts},
                                   {"top_k", meta.top_k},
                                   {"dtype", meta.dtype},
                                   {"seed", meta.seed},
                                   {"policy", meta.policy},
                                   {"policy_name", meta.policy_name},
                                   {"slots", meta.slots},
                                   {"staging", meta.staging},
                                   {"expert_bytes", meta.expert_bytes},
                                   {"link_bytes_per_call", meta.link_bytes_per_call}};
  // A path need not be UTF-8, a JSON file must.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<TraceMeta> ParseTraceMeta(std::string_view line, int64_t* version) {
  SLUICE_TRY_ASSIGN(const json object, ParseJson(line));
  if (TextFieldOrEmpty(object, "type") != "meta") {
    return CorruptError("a trace begins with a line of type 'meta'");
  }
  SLUICE_TRY_ASSIGN(*version, IntegerField(object, "version"));
  if (*version < 1 || *version > 2) {
    return UnsupportedError(
        fmt::format("the trace is of version {}; this sluice reads 1 and 2", *version));
  }
  TraceMeta meta;
  SLUICE_TRY_ASSIGN(meta.model, TextField(object, "model"));
  SLUICE_TRY_ASSIGN(meta.architecture, TextField(object, "architecture"));
  SLUICE_TRY_ASSIGN(meta.dtype, TextField(object, "dtype"));
  SLUICE_TRY_ASSIGN(meta.layers, IntegerField(object, "layers"));
  SLUICE_TRY_ASSIGN(meta.experts, IntegerField(object, "experts"));
  SLUICE_TRY_ASSIGN(meta.top_k, IntegerField(object, "top_k"));
  SLUICE_TRY_ASSIGN(meta.seed, UnsignedField(object, "seed"));
  if (*version == 1) return meta;
  SLUICE_TRY_ASSIGN(meta.policy, TextField(object, "policy"));
  SLUICE_TRY_ASSIGN(meta.policy_name, TextField(object, "policy_name"));
  SLUICE_TRY_ASSIGN(meta.slots, IntegerField(object, "slots"));
  SLUICE_TRY_ASSIGN(meta.staging, IntegerField(object, "staging"));
  SLUICE_TRY_ASSIGN(meta.expert_bytes, UnsignedField(object, "expert_bytes"));
  SLUICE_TRY_ASSIGN(meta.link_bytes_per_call, NumberField(object, "link_bytes_per_call"));
  return meta;
}

}  // namespace sluice
