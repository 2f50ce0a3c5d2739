#include "engine/kv_cache.h"

#include <utility>

#include "plan/memory_plan.h"

namespace sluice {

Result<KvCache> KvCache::Create(const ModelSpec& spec, KvFormat format, int64_t tokens) {
  KvCache cache;
  cache.layout_ = KvLayoutOf(spec, format);
  const int64_t pages = (tokens + kPageTokens - 1) / kPageTokens;
  const int64_t page_bytes = KvPageBytes(spec, format);
  SLUICE_TRY_ASSIGN(cache.memory_,
                    PageBuffer::Allocate(static_cast<size_t>(pages * page_bytes), "the KV cache"));
  for (int64_t i = pages - 1; i >= 0; --i) {
    cache.free_.push_back(cache.memory_.data() + i * page_bytes);
  }
  return cache;
}

std::vector<std::byte*> KvCache::Take(int64_t tokens) {
  const auto pages = static_cast<size_t>((tokens + kPageTokens - 1) / kPageTokens);
  if (pages > free_.size()) return {};
  std::vector<std::byte*> taken;
  for (size_t i = 0; i < pages; ++i) {
    taken.push_back(free_.back());
    free_.pop_back();
  }
  return taken;
}

void KvCache::Give(std::vector<std::byte*>* pages) {
  while (!pages->empty()) {
    free_.push_back(pages->back());
    pages->pop_back();
  }
}

KvLayout KvCache::Layout(int64_t layer) const {
  KvLayout layout = layout_;
  layout.layer_offset = layer * layout_.layer_bytes();
  return layout;
}

}  // namespace sluice
