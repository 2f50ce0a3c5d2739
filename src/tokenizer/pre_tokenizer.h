// PreTokenizer: cuts text into the words within which byte pairs merge.
//
// A sequence of split steps; each step cuts every piece that the step before left, and sees that
// piece alone (look-around and "$" stop at its ends).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "sluice/status.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

class PreTokenizer {
 public:
  // No steps: the whole text is one word.
  static Result<PreTokenizer> Create(const std::vector<SplitStep>& steps);

  // The words of `text` in order. Together they are `text`, unless a step removes something.
  std::vector<TextSpan> Split(std::string_view text) const;

 private:
  struct Step {
    std::unique_ptr<Splitter> splitter;
    SplitBehavior behavior;
    bool invert;
  };

  std::vector<Step> steps_;
};

}  // namespace sluice
