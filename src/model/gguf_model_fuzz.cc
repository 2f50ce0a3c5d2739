// Any bytes as a GGUF file, all the way to an open model: keys of its family, places of its
// tensors, vocabulary.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const int fd = memfd_create("fuzz", 0);
  if (fd < 0 || write(fd, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  const auto model = sluice::OpenModel("/proc/self/fd/" + std::to_string(fd));
  if (model.ok()) {
    for (const sluice::ExpertExtent& expert : model->experts.extents()) {
      for (const sluice::TensorExtent* part : {&expert.gate, &expert.up, &expert.down}) {
        if (part->offset + part->bytes > part->file->bytes()) std::abort();
      }
    }
    if (model->tokenizer != nullptr) {
      for (const int32_t id : model->tokenizer->Encode("a b\xFF", sluice::SpecialTokens::kParse)) {
        if (id < 0 || id >= model->spec.vocab) std::abort();
      }
    }
  }
  close(fd);
  return 0;
}
