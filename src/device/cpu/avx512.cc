// AVX-512 (F, BW, DQ, VL, VNNI): 16 lanes, vpdpbusd.
//
// Everything between the region markers is compiled for those instructions and may only be reached
// after Avx512Kernels() has said that the machine has them. All headers come before the region, so
// that no inline function of theirs is compiled for it.
#include "device/cpu/kernels.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics headers start from an undefined vector on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "base/fp16.h"
#include "device/cpu/vec.h"
#include "device/kv_codec.h"
#include "device/math.h"

#if defined(__clang__)
#pragma clang attribute push(                                                               \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,prefer-vector-width=512")
#endif

namespace sluice {
namespace {

#include "device/cpu/avx512_isa.inl"
#include "device/cpu/kernels.inl"
#include "device/cpu/panels.inl"

}  // namespace
}  // namespace sluice

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace sluice {

const Kernels* Avx512Kernels() {
  const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
  return has ? &kKernels : nullptr;
}
const PanelKernels* Avx512Panels() { return Avx512Kernels() != nullptr ? &kPanels : nullptr; }

}  // namespace sluice

#else  // not x86-64

namespace sluice {
const Kernels* Avx512Kernels() { return nullptr; }
const PanelKernels* Avx512Panels() { return nullptr; }
}  // namespace sluice

#endif
