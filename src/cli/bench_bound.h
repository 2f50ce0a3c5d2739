// What a row of `sluice bench` could be at best: bytes of memory over bandwidth, products over the
// peak of the instruction set, bytes of the disk over its bandwidth; the slowest of the three is
// the bound. Each is a lower bound of the time: attention's products and the reading of keys and
// values in prefill are left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "machine/machine_profile.h"
#include "model/model.h"

namespace sluice {

// What a model has to read and multiply.
struct ModelWork {
  double dense_bytes = 0;   // per step: attention, norms, routers; not the embedding's few rows
  double head_bytes = 0;    // per step that gives logits
  double expert_bytes = 0;  // of one expert, on average
  double dense_macs = 0;    // per token
  double head_macs = 0;     // per set of logits
  double expert_macs = 0;   // per token and chosen expert
  bool quantized = false;   // experts multiply int8
};
ModelWork WorkOf(const Model& model);

// What the timed part of a row had to do.
struct RowWork {
  double seconds = 0;
  double memory_bytes = 0;
  double macs = 0;
  double disk_bytes = 0;
};

// Per second; 0: not known, and then no bound.
struct MachineRates {
  double memory_before = 0, memory_after = 0;
  double macs = 0;
  double disk = 0;
};
// From the profile, if there is one: `threads` compute, and the model lies at `model_path`.
MachineRates RatesFor(const std::optional<MachineProfile>& profile, int threads, bool quantized,
                      const std::string& model_path);

struct Bound {
  double memory_s = 0, compute_s = 0, disk_s = 0;
  double seconds = 0;          // the largest
  const char* limit = "none";  // "memory", "compute", "disk"
};
// Memory counts at the faster of the two measurements around the row.
Bound BoundOf(const RowWork& work, const MachineRates& rates);

}  // namespace sluice
