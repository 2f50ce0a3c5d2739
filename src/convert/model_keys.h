// What a model computes, as GGUF's keys.
#pragma once

#include "convert/key_list.h"
#include "model/architecture.h"
#include "model/model_spec.h"

namespace sluice {

// general.architecture is not among them: the writer has it first.
void AddModelKeys(const Architecture& architecture, const ModelSpec& spec, KeyList* keys);

// Fails, and names what is different, if `read`, which is what a reader makes of the keys, does not
// compute what `wanted` does. The order of Q's and K's rows (RopeLayout) may differ.
Status CheckSameModel(const ModelSpec& wanted, const ModelSpec& read);

// What RoPE's frequencies are divided by, where GGUF says that with a tensor: Llama 3's scaling.
// Empty: by nothing. [dims / 2]
std::vector<float> RopeFactors(const Rope& rope);

}  // namespace sluice
