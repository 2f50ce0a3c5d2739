// The known name that somebody probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Letters to insert, delete, change or swap with their neighbour to come from one to the other.
size_t EditDistance(std::string_view a, std::string_view b);

// The nearest of `known`, or "" where none is near.
std::string_view NearestName(std::string_view name, std::span<const std::string_view> known);

// "did you mean lru?", or else "known: fifo, lfu, lru".
std::string SuggestName(std::string_view name, std::span<const std::string_view> known);

}  // namespace sluice
