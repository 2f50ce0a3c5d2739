// What this machine does, measured in under a second: enough to choose a policy by.
#pragma once

#include <cstdint>

#include "model/model.h"
#include "sluice/status.h"

namespace sluice {

struct MachineSpeed {
  double read_bytes_per_second = 0;    // experts in random order, as the engine reads them
  double memory_bytes_per_second = 0;  // one core, reading
};

// Blocks for about `seconds` each. Reads whole experts of the model's own file, so that file system
// and disk are the ones that count.
Result<MachineSpeed> ProbeMachine(const Model& model, double seconds);

}  // namespace sluice
