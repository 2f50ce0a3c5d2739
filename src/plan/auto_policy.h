// A policy made for a model and a machine, with the reasons as comments.
#pragma once

#include <cstdint>
#include <string>

#include "plan/probe.h"

namespace sluice {

struct AutoFacts {
  std::string model;
  int64_t layers = 0;
  int64_t experts = 0;  // per layer
  int64_t top_k = 0;
  uint64_t expert_bytes = 0;       // a slot
  uint64_t dense_layer_bytes = 0;  // what else a layer reads per token
  uint64_t budget_bytes = 0;       // of the process
  int64_t slots = 0;               // that it leaves for experts
  MachineSpeed speed;
};

// .moe text. What it says of hit rates comes from docs/eviction.md, of prefetch from
// docs/prefetch.md.
std::string MakeAutoPolicy(const AutoFacts& facts);

}  // namespace sluice
