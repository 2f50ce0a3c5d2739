// From tokens to the text of an answer: whole characters, and nothing of a stop string.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/stream_decoder.h"

namespace sluice {

class TextOutput {
 public:
  // `tokenizer` may be null: then there is no text, and no stop string can be seen.
  TextOutput(const Tokenizer* tokenizer, std::vector<std::string> stop);

  // Text that can be shown now. What might be the beginning of a stop string waits.
  std::string Push(int32_t token);
  // A stop string has come: nothing more will be shown.
  bool stopped() const { return stopped_; }
  // The rest, at the end.
  std::string Flush();

 private:
  std::string Release();

  std::optional<StreamDecoder> decoder_;
  const std::vector<std::string> stop_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace sluice
