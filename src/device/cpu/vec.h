// Vectors of 16 floats in GCC's vector extensions: element-wise arithmetic is written once and
// means the same bits on every instruction set, since nothing here contracts or reorders.
//
// Only what needs an instruction of its own (dot products of bytes, half-precision loads) is in the
// traits of an instruction set: avx2.cc, avx512.cc.
#pragma once

#include <cstdint>
#include <cstring>

#define SLUICE_INLINE inline __attribute__((always_inline))
// Behind the parameters of a lambda.
#define SLUICE_INLINE_LAMBDA __attribute__((always_inline))

namespace sluice {

typedef float V16f __attribute__((vector_size(64), aligned(4), may_alias));     // NOLINT
typedef int32_t V16i __attribute__((vector_size(64), aligned(4), may_alias));   // NOLINT
typedef uint32_t V16u __attribute__((vector_size(64), aligned(4), may_alias));  // NOLINT
typedef uint16_t V16h __attribute__((vector_size(32), aligned(2), may_alias));  // NOLINT
typedef int8_t V16b __attribute__((vector_size(16), aligned(1), may_alias));    // NOLINT

}  // namespace sluice
