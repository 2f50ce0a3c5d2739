// The canonical form of a policy file: one parameter a line, four blanks, comments kept.
#pragma once

#include <string>
#include <string_view>

#include "policy/diagnostics.h"
#include "policy/syntax.h"
#include "sluice/status.h"

namespace sluice {

// REQUIRES: a tree that was read without errors, and its source.
std::string FormatPolicyFile(const FileNode& file, std::string_view source);

// The same from text. Formatting what is formatted changes nothing, and formatting never changes
// what a file means. Fails where the text does not follow the grammar.
Result<std::string> FormatPolicyText(std::string_view source, const std::string& file_name);

}  // namespace sluice
