// Any bytes as config.json: what it says is understood by a family, or refused; every size in a
// spec is one that memory is planned with.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/architecture.h"
#include "model/spec_limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  sluice::Result<sluice::Metadata> metadata = sluice::MetadataFromJson(text, "config.json");
  if (!metadata.ok()) return 0;
  const sluice::Checkpoint checkpoint{.kind = sluice::CheckpointKind::kHuggingFace,
                                      .path = "directory",
                                      .metadata = *metadata,
                                      .tensors = {},
                                      .tokenizer_json = {},
                                      .tokenizer_config_json = {},
                                      .generation_config_json = {}};
  const auto architecture = sluice::FindArchitecture(checkpoint);
  if (!architecture.ok()) return 0;
  const auto spec = (*architecture)->from_hugging_face(checkpoint.metadata);
  if (!spec.ok() || !sluice::CheckSpec(checkpoint.metadata, *spec).ok()) return 0;
  const bool sane = spec->layers >= 1 && spec->layers <= sluice::kMaxLayers && spec->hidden >= 1 &&
                    spec->hidden <= sluice::kMaxWidth && spec->attention.heads >= 1 &&
                    spec->attention.heads <= sluice::kMaxHeads && spec->moe.top_k >= 0 &&
                    spec->moe.top_k <= spec->moe.experts;
  if (!sane) std::abort();
  return 0;
}
