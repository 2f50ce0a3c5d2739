// StreamDecoder: tokens to text as they come, never half a character.
#pragma once

#include <string>

#include "tokenizer/tokenizer.h"

namespace sluice {

// Whether the tokens begin a text, whose prefix space goes, or go on from one.
enum class StreamStart { kNewText, kContinuation };

class StreamDecoder final {
 public:
  // `tokenizer` outlives this.
  StreamDecoder(const Tokenizer& tokenizer, StreamStart start,
                ControlTokens control = ControlTokens::kHide);

  // The text that is now complete, "" while a character's other bytes are still to come. Always
  // valid UTF-8: bytes that can no longer become a character are U+FFFD.
  std::string Push(TokenId id);

  // What was held back, as U+FFFD, at the end of the tokens. The decoder can then begin anew, as a
  // continuation.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  const ControlTokens control_;
  bool at_start_;
  std::string held_;  // the beginning of a character
};

}  // namespace sluice
