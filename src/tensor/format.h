// The weight formats: the list, and what the rest of the code may ask about each.
// Adding one: a header in formats/ (format_traits.h says what it holds), its #include and its line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/formats/bf16.h"
#include "tensor/formats/f16.h"
#include "tensor/formats/f32.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"
#include "tensor/formats/q8_0.h"

// clang-format off
#define SLUICE_FORMATS(X)                                    \
  X(F32) X(F16) X(BF16)                                      \
  X(Q8_0) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(IQ4_NL) X(MXFP4) \
  X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS)
// clang-format on

namespace sluice {

enum class Format : uint8_t {
#define SLUICE_FORMAT_ENUM(F) k##F,
  SLUICE_FORMATS(SLUICE_FORMAT_ENUM)
#undef SLUICE_FORMAT_ENUM
};

struct FormatSpec {  // NOLINT(clang-analyzer-optin.performance.Padding): seven of them
  Format format;
  const char* name;
  uint32_t gguf_type;
  int block_elements;
  int block_bytes;
  Activation activation;
  std::span<const FormatField> fields;
  int pack_blocks;
  // Decodes `blocks` consecutive blocks. `in` need not be aligned.
  void (*decode)(const std::byte* in, int64_t blocks, float* out);
  // sum over a row of `blocks` blocks: exactly one of the two is set, as `activation` says.
  float (*dot_f32)(const std::byte* row, int64_t blocks, const float* x);
  float (*dot_q8)(const std::byte* row, int64_t blocks, const Q8Row& x);

  int64_t row_bytes(int64_t cols) const { return cols / block_elements * block_bytes; }
};

const FormatSpec& Spec(Format format);
std::span<const FormatSpec> AllFormats();
std::optional<Format> FormatOfGgufType(uint32_t type);
std::optional<Format> FormatByName(std::string_view name);
// The name of a GGUF tensor type, also of those that are not supported ("IQ2_XXS"); "an unknown
// type" else.
std::string_view GgufTypeName(uint32_t type);

// Calls visit.template operator()<F>() with the format's struct.
template <typename Visitor>
auto VisitFormat(Format format, const Visitor& visit) {
  switch (format) {
#define SLUICE_FORMAT_CASE(F) \
  case Format::k##F:          \
    return visit.template operator()<F>();
    SLUICE_FORMATS(SLUICE_FORMAT_CASE)
#undef SLUICE_FORMAT_CASE
  }
  __builtin_unreachable();
}

}  // namespace sluice
