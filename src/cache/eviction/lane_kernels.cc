// One source (lane_kernels.inl), compiled for each instruction set; which one runs is decided when
// the program runs.
#include "cache/eviction/lane_kernels.h"

#include <array>

namespace sluice {

namespace portable {
namespace {
constexpr const char* kName = "portable";
#include "cache/eviction/lane_kernels.inl"  // NOLINT(readability-duplicate-include)
}  // namespace
}  // namespace portable

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi")
#endif
namespace avx2 {
namespace {
constexpr const char* kName = "avx2";
#include "cache/eviction/lane_kernels.inl"  // NOLINT(readability-duplicate-include)
}  // namespace
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define SLUICE_LANE_POPCOUNT
#define SLUICE_LANE_WIDE_VOTE
#if defined(__clang__)
#pragma clang attribute push(                                                               \
    __attribute__((target("avx2,bmi,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,bmi,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,prefer-vector-width=512")
#endif
namespace avx512 {
namespace {
constexpr const char* kName = "avx512";
#include "cache/eviction/lane_kernels.inl"  // NOLINT(readability-duplicate-include)
}  // namespace
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

namespace {

struct Usable {
  Usable() {
    kernels[count++] = &portable::kKernels;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0) {
      kernels[count++] = &avx2::kKernels;
      if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
          __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
          __builtin_cpu_supports("avx512vpopcntdq") != 0) {
        kernels[count++] = &avx512::kKernels;
      }
    }
#endif
  }
  std::array<const LaneKernels*, 3> kernels{};
  size_t count = 0;
};

}  // namespace

std::span<const LaneKernels* const> UsableLaneKernels() {
  static const Usable usable;
  return std::span(usable.kernels).first(usable.count);
}

const LaneKernels& BestLaneKernels() { return *UsableLaneKernels().back(); }

}  // namespace sluice
