#include "synth/topic_text.h"

#include <algorithm>
#include <cmath>

namespace sluice {

std::vector<int32_t> TopicText(const TopicTextOptions& options, int64_t index, int64_t tokens) {
  RandomWords random(MixBits(SeedOf("sequence", options.seed) + static_cast<uint64_t>(index)));
  const int64_t per_topic = (options.end - options.first) / options.topics;
  const double log_ranks = std::log(static_cast<double>(per_topic) + 1);
  const auto new_topic = [&] {
    return static_cast<int64_t>(random.Next() % static_cast<uint64_t>(options.topics));
  };
  int64_t topic = new_topic();
  std::vector<int32_t> ids;
  ids.reserve(static_cast<size_t>(tokens));
  for (int64_t i = 0; i < tokens; ++i) {
    if (random.Uniform() >= options.stay) topic = new_topic();
    // exp(u log n) has the density 1 / (x log n).
    const auto rank = static_cast<int64_t>(std::exp(random.Uniform() * log_ranks)) - 1;
    // The ids of topic t are those with id % topics == t, from `first` on.
    const int64_t offset =
        (topic - options.first % options.topics + options.topics) % options.topics;
    ids.push_back(static_cast<int32_t>(options.first + offset +
                                       std::min(rank, per_topic - 1) * options.topics));
  }
  return ids;
}

}  // namespace sluice
