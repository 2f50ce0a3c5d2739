// Pages of keys and values. A sequence holds the pages of its tokens; a page serves all layers.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "device/ops.h"
#include "model/model_spec.h"
#include "sluice/status.h"

namespace sluice {

class KvCache {
 public:
  // Room for `tokens` tokens, rounded up to whole pages. Memory is used as pages are written.
  static Result<KvCache> Create(const ModelSpec& spec, KvFormat format, int64_t tokens);

  // Pages for a sequence of at most `tokens` tokens, or empty if there are not enough free.
  std::vector<std::byte*> Take(int64_t tokens);
  void Give(std::vector<std::byte*>* pages);

  // How operations see layer `layer`.
  KvLayout Layout(int64_t layer) const;

 private:
  KvLayout layout_;  // of layer 0
  PageBuffer memory_;
  std::vector<std::byte*> free_;
};

}  // namespace sluice
