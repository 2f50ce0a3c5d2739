// Which expert: the key of every cache, trace and transfer.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

struct ExpertId {
  int32_t layer = 0;
  int32_t expert = 0;

  friend auto operator<=>(const ExpertId&, const ExpertId&) = default;
};

}  // namespace sluice
