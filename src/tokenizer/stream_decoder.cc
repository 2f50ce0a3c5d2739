#include "tokenizer/stream_decoder.h"

#include <utility>

#include "tokenizer/unicode.h"

namespace sluice {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, StreamStart start, ControlTokens control)
    : tokenizer_(tokenizer),
      control_(control),
      at_start_(start == StreamStart::kNewText && tokenizer.has_space_prefix()) {}

std::string StreamDecoder::Push(TokenId id) {
  if (control_ == ControlTokens::kHide && tokenizer_.IsControl(id)) return {};
  std::string_view bytes = tokenizer_.TokenBytes(id);
  if (at_start_ && tokenizer_.StartsWithMark(id)) bytes.remove_prefix(1);
  if (!tokenizer_.IsControl(id)) at_start_ = false;
  held_ += bytes;
  const size_t tail = IncompleteUtf8Tail(held_);
  std::string text = ReplaceInvalidUtf8(std::string_view(held_).substr(0, held_.size() - tail));
  held_.erase(0, held_.size() - tail);
  return text;
}

std::string StreamDecoder::Flush() { return ReplaceInvalidUtf8(std::exchange(held_, {})); }

}  // namespace sluice
