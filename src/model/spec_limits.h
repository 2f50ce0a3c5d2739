// Bounds of what any real model has, a good way up: they keep products of sizes far from overflow.
#pragma once

#include <cstdint>

namespace sluice {

inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxUnusedLayers = 16;  // that guess further tokens; models have one
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxExperts = 65536;
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;
inline constexpr int64_t kMaxContext = int64_t{1} << 28;

}  // namespace sluice
