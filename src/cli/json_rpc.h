// The base protocol of the Language Server Protocol: a header, a blank line, a body of JSON.
#pragma once

#include <cstddef>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/status.h"

namespace sluice {

// More than any policy needs, with every character escaped: a longer message is refused unread.
inline constexpr size_t kMostMessageBytes = 16U << 20U;
inline constexpr size_t kMostHeaderBytes = 4096;

// The body of the next message; nullopt: the input ended between two messages. Fails where the
// header cannot be understood: what follows it cannot be either. Blocks: until the message is
// whole.
Result<std::optional<std::string>> ReadMessage(std::istream* in);

// The body with its header.
std::string FramedMessage(std::string_view body);

}  // namespace sluice
