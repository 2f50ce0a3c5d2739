// Any bytes as tokenizer.json; where they make a tokenizer, some text through it and back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  sluice::Result<sluice::Vocabulary> vocabulary = sluice::ParseTokenizerJson(text, "");
  if (!vocabulary.ok()) return 0;
  const auto tokenizer = sluice::Tokenizer::Create(*std::move(vocabulary));
  if (!tokenizer.ok()) return 0;
  const std::string sample =
      std::string(text.substr(0, 256)) + " it's 123\n\n \xE2\x82\xAC\xFF <s>";
  for (const auto special : {sluice::SpecialTokens::kPlain, sluice::SpecialTokens::kParse}) {
    sluice::StreamDecoder decoder(**tokenizer, sluice::StreamStart::kNewText);
    for (const sluice::TokenId id : (*tokenizer)->Encode(sample, special)) {
      if (id < 0 || static_cast<size_t>(id) >= (*tokenizer)->size()) std::abort();
      (void)decoder.Push(id);
    }
    (void)decoder.Flush();
  }
  return 0;
}
