// Normalizer: the changes that a tokenizer makes to text before it is cut into words.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

class Normalizer {
 public:
  // Refuses patterns and tables that do not make sense, more than kMaxNormalizeSteps steps, and
  // those that could together make a text more than kMaxGrowth times as long.
  static Result<Normalizer> Create(const std::vector<NormalizeStep>& steps);

  // Any bytes; those that are not UTF-8 stay as they are. Cost: O(n log n), n the bytes of `text`
  // and of what the steps make of it; of patterns to be replaced, what Splitter says of them.
  std::string Apply(std::string_view text) const;

 private:
  struct Step {
    NormalizeStep rule;
    std::unique_ptr<Splitter> splitter;  // kReplacePattern
    std::optional<Charsmap> charsmap;    // kCharsmap, kCharsmapByGrapheme
  };

  std::vector<Step> steps_;
};

}  // namespace sluice
