// GGUF v2/v3 headers (ggml docs/gguf.md). Little-endian only.
//
// Everything that a header says is checked before it is used: counts against the bytes that are
// left, offsets against the file, names against what was seen before. Memory grows only with bytes
// that were really read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/metadata.h"
#include "checkpoint/tensor_table.h"
#include "sluice/status.h"

namespace sluice {

// Adds what the header of `file` says to the two tables. Of a split model's later files only the
// tensors count: `metadata` is then null.
Status ReadGguf(const File* file, Metadata* metadata, TensorTable* tensors);

// A key with the bytes of its type and value as the file has them, for copies that keep every type.
struct EncodedKey {
  std::string name;
  std::string type_and_value;
};
Result<std::vector<EncodedKey>> ReadEncodedKeys(const File* file);

}  // namespace sluice
