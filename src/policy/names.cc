// Edit distance with transpositions (optimal string alignment): "lur" is one step from "lru".
#include "policy/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {

size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: two before the present one for swapped neighbours.
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string_view NearestName(std::string_view name, std::span<const std::string_view> known) {
  constexpr size_t kLongest = 64;  // nobody means one of ours by a longer word
  if (name.size() > kLongest) return {};
  std::string_view nearest;
  size_t least = name.size() / 3 + 2;  // a third of the letters wrong is a different word
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(name, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  // A short word that shares hardly a letter is no slip.
  return least * 2 >= name.size() ? std::string_view() : nearest;
}

std::string SuggestName(std::string_view name, std::span<const std::string_view> known) {
  const std::string_view nearest = NearestName(name, known);
  if (!nearest.empty()) return fmt::format("did you mean {}?", nearest);
  return fmt::format("known: {}", fmt::join(known, ", "));
}

}  // namespace sluice
