// Words to a tree, by recursive descent with one word of look-ahead. Goes on after an error, so
// that one reading finds all of them.
#pragma once

#include <string_view>

#include "policy/syntax.h"

namespace sluice {

// What no policy needs more of: larger input is refused, not read.
inline constexpr size_t kMostPolicyBytes = 1 << 20;
inline constexpr int kDeepestCondition = 32;

// REQUIRES: source outlives the tree (its comments are views). With errors the tree holds what
// could be read.
FileNode ParsePolicyFile(std::string_view source, Diagnostics* diagnostics);

}  // namespace sluice
