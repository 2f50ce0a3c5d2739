// The router's answer for one layer of one batch.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

struct Routing {
  int64_t tokens = 0;
  int64_t top_k = 0;
  // Row t is the token's experts in rank order (largest weight first, lower id on ties).
  std::vector<int32_t> experts;  // [tokens, top_k]
  std::vector<float> weights;    // [tokens, top_k]
};

// The distinct experts of a routing, in the order in which the batch meets them, each with the
// places in Routing::experts that chose it (token * top_k + rank, ascending).
struct ExpertGroup {
  int32_t expert = 0;
  std::vector<int32_t> assignments;
};
// `experts`: how many the layer has.
std::vector<ExpertGroup> GroupByExpert(const Routing& routing, int64_t experts);

}  // namespace sluice
