#include "routing/routing.h"

#include <cstddef>

namespace sluice {

std::vector<ExpertGroup> GroupByExpert(const Routing& routing, int64_t experts) {
  std::vector<int32_t> group_of(static_cast<size_t>(experts), -1);
  std::vector<ExpertGroup> groups;
  for (size_t i = 0; i < routing.experts.size(); ++i) {
    const int32_t expert = routing.experts[i];
    int32_t& group = group_of[static_cast<size_t>(expert)];
    if (group < 0) {
      group = static_cast<int32_t>(groups.size());
      groups.push_back({.expert = expert, .assignments = {}});
    }
    groups[static_cast<size_t>(group)].assignments.push_back(static_cast<int32_t>(i));
  }
  return groups;
}

}  // namespace sluice
