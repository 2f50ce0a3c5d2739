// safetensors headers, and directories of them with an index (huggingface/safetensors README).
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "checkpoint/tensor_table.h"
#include "sluice/status.h"

namespace sluice {

// Adds the tensors of `file`; those of types that no weight has (I64, U8, ...) as raw ones.
Status ReadSafetensors(const File* file, TensorTable* tensors);

}  // namespace sluice
