#include "engine/text_output.h"

#include <algorithm>
#include <utility>

namespace sluice {

TextOutput::TextOutput(const Tokenizer* tokenizer, std::vector<std::string> stop)
    : stop_(std::move(stop)) {
  if (tokenizer != nullptr) decoder_.emplace(*tokenizer, StreamStart::kContinuation);
}

std::string TextOutput::Push(int32_t token) {
  if (!decoder_ || stopped_) return "";
  held_ += decoder_->Push(token);
  return Release();
}

std::string TextOutput::Flush() {
  if (!decoder_ || stopped_) return "";
  held_ += decoder_->Flush();
  std::string text = Release();
  if (!stopped_) text += std::exchange(held_, "");
  return text;
}

std::string TextOutput::Release() {
  size_t cut = std::string::npos;
  for (const std::string& stop : stop_) cut = std::min(cut, held_.find(stop));
  if (cut != std::string::npos) {
    stopped_ = true;
    return held_.substr(0, cut);
  }
  size_t wait = 0;  // bytes at the end that may begin a stop string
  for (const std::string& stop : stop_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > wait; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) wait = n;
    }
  }
  std::string text = held_.substr(0, held_.size() - wait);
  held_.erase(0, text.size());
  return text;
}

}  // namespace sluice
