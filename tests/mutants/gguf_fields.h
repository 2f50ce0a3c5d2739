// Where the fields of a GGUF file lie: what a mutator needs to change one on purpose. A second
// reader, written from the format's description for well-formed files only; it shares nothing with
// checkpoint/gguf.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

enum class GgufFieldKind {
  kCount,    // how many: keys, tensors, elements, dimensions, bytes of a string
  kType,     // of a value, an array or a tensor
  kInteger,  // a value that is a whole number, or one of an array
  kFloat,    // a value that is a float32
  kText,     // the bytes of a key, a string, a tensor's name
  kShape,    // one dimension of a tensor
  kOffset,   // of a tensor
};

struct GgufField {
  GgufFieldKind kind;
  size_t at;     // byte in the file
  size_t bytes;  // 1, 2, 4 or 8; of texts their length
};

struct GgufTensor {
  size_t type_at;  // byte of its type; its offset follows 4 bytes later
  size_t offset;   // of its numbers in the file
  size_t bytes;    // to the next tensor, or to the end of the file
  uint32_t type;
};

struct GgufMap {
  std::vector<GgufField> fields;
  std::vector<GgufTensor> tensors;
  size_t header_bytes = 0;
};

// REQUIRES: a well-formed file of version 3.
GgufMap MapGguf(const std::string& file);

}  // namespace sluice
