// The statistics file of `run`, and the parts of it that `bench` prints too.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sluice/engine.h"

namespace sluice {

struct AnsweredRequest {
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> generated_ids;
  FinishReason finish = FinishReason::kNone;
  RequestStats stats;
};

// {budget, peak_rss, dense, kv, ...} in bytes; slots are counts.
nlohmann::ordered_json MemoryJson(const EngineStats& stats);
nlohmann::ordered_json ExpertsJson(const EngineStats& stats);
// The whole file. Several requests: the fields of the first, and all of them under "requests".
nlohmann::ordered_json StatsJson(const EngineStats& stats,
                                 const std::vector<AnsweredRequest>& requests);

}  // namespace sluice
