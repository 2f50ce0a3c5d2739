#include "cli/stats_json.h"

#include <fmt/format.h>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

double Rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

Json RequestJson(const AnsweredRequest& request) {
  const RequestStats& s = request.stats;
  return {{"prompt_ids", request.prompt_ids},
          {"generated_ids", request.generated_ids},
          {"finish_reason", FinishReasonName(request.finish)},
          {"time_to_first_token_s", s.time_to_first_token_s},
          {"prefill_tokens_per_s", Rate(s.prompt_tokens, s.prefill_s)},
          {"decode_tokens_per_s", Rate(s.generated_tokens - 1, s.decode_s)}};
}

}  // namespace

Json MemoryJson(const EngineStats& stats) {
  const EngineStats::Memory& m = stats.memory;
  return {{"budget", m.budget},         {"peak_rss", m.peak_rss},
          {"dense", m.dense},           {"kv", m.kv},
          {"scratch", m.scratch},       {"slots", m.slots},
          {"slot_bytes", m.slot_bytes}, {"all_slots", m.all_slots},
          {"minimum", m.minimum},       {"everything", m.everything}};
}

Json ExpertsJson(const EngineStats& stats) {
  const EngineStats::Experts& e = stats.experts;
  return {{"accesses", e.accesses},
          {"hits", e.hits},
          {"misses", e.misses},
          {"hit_rate", e.hit_rate},
          {"demand_misses", e.demand_misses},
          {"insertions", e.insertions},
          {"evictions", e.evictions},
          {"in_place", e.in_place},
          {"prefetches", e.prefetches},
          {"prefetches_used", e.prefetches_used},
          {"prefetches_wasted", e.prefetches_wasted},
          {"prefetches_cancelled", e.prefetches_cancelled},
          {"adapt_firings", e.adapt_firings},
          {"bytes_read", e.bytes_read},
          {"read_bytes_per_s", e.read_bytes_per_s},
          {"stall_s", e.stall_s}};
}

Json StatsJson(const EngineStats& stats, const std::vector<AnsweredRequest>& requests) {
  Json json = {{"model", stats.model}, {"architecture", stats.architecture}};
  if (!requests.empty()) json.update(RequestJson(requests[0]));
  json["memory"] = MemoryJson(stats);
  json["experts"] = ExpertsJson(stats);
  json["policy"] = stats.policy;
  json["device"] = stats.device;
  json["threads"] = stats.threads;
  json["io"] = stats.io;
  json["context_tokens"] = stats.context_tokens;
  json["prefill_chunk"] = stats.prefill_chunk;
  if (requests.size() > 1) {
    for (const AnsweredRequest& request : requests)
      json["requests"].push_back(RequestJson(request));
  }
  return json;
}

}  // namespace sluice
