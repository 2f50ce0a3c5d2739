// One row of a KV cache, to and from floats: the specification of KvFormat.
#pragma once

#include <cmath>
#include <cstring>

#include "base/fp16.h"
#include "device/ops.h"
#include "tensor/q8_activation.h"

namespace sluice {

namespace kv_codec {

template <typename T>
void Store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}
template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Q8_0: per 32 numbers an f16 scale max/127 and int8s rounded to nearest even of x / scale.
inline void EncodeQ8(const float* x, int64_t dim, std::byte* to) {
  for (int64_t block = 0; block < dim / 32; ++block, x += 32, to += 34) {
    const float largest = LargestMagnitude(x, 32);
    const uint16_t scale = F32ToF16(largest / 127.0F);
    const float rounded_scale = F16ToF32(scale);
    const float inverse = rounded_scale > 0 ? 1.0F / rounded_scale : 0.0F;
    Store(to, scale);
    for (int i = 0; i < 32; ++i) {
      const float q = std::nearbyintf(x[i] * inverse);
      // The rounded scale may be a little small: clamp. NaN becomes 0, and its block's scale NaN.
      const float clamped =
          q > 127.0F ? 127.0F : (q >= -127.0F ? q : (q < -127.0F ? -127.0F : 0.0F));
      Store(to + 2 + i, static_cast<int8_t>(clamped));
    }
  }
}

}  // namespace kv_codec

inline void EncodeKvRow(KvFormat format, const float* x, int64_t dim, std::byte* to) {
  using kv_codec::Store;
  switch (format) {
    case KvFormat::kF32:
      std::memcpy(to, x, static_cast<size_t>(dim) * 4);
      return;
    case KvFormat::kF16:
      for (int64_t i = 0; i < dim; ++i) Store(to + 2 * i, F32ToF16(x[i]));
      return;
    case KvFormat::kBF16:
      for (int64_t i = 0; i < dim; ++i) Store(to + 2 * i, F32ToBf16(x[i]));
      return;
    case KvFormat::kQ8_0:
      kv_codec::EncodeQ8(x, dim, to);
      return;
  }
}

inline void DecodeKvRow(KvFormat format, const std::byte* from, int64_t dim, float* out) {
  using kv_codec::Load;
  switch (format) {
    case KvFormat::kF32:
      std::memcpy(out, from, static_cast<size_t>(dim) * 4);
      return;
    case KvFormat::kF16:
      for (int64_t i = 0; i < dim; ++i) out[i] = F16ToF32(Load<uint16_t>(from + 2 * i));
      return;
    case KvFormat::kBF16:
      for (int64_t i = 0; i < dim; ++i) out[i] = Bf16ToF32(Load<uint16_t>(from + 2 * i));
      return;
    case KvFormat::kQ8_0:
      for (int64_t i = 0; i < dim; ++i) {
        const std::byte* block = from + i / 32 * 34;
        out[i] =
            F16ToF32(Load<uint16_t>(block)) * static_cast<float>(Load<int8_t>(block + 2 + i % 32));
      }
      return;
  }
}

// First byte of the row of (token position, head) in its page; keys, or values.
enum class KvPart { kKey, kValue };
inline int64_t KvRowOffset(const KvLayout& layout, KvPart part, int64_t head, int64_t position) {
  const int64_t slot = position % layout.page_tokens;
  if (part == KvPart::kKey || layout.values == KvValues::kInKeys) {
    return layout.layer_offset + head * layout.key_bytes() +
           slot * KvRowBytes(layout.format, layout.key_dim);
  }
  return layout.layer_offset + layout.kv_heads * layout.key_bytes() + head * layout.value_bytes() +
         slot * KvRowBytes(layout.format, layout.value_dim);
}

// The first position that a token at `position` sees.
inline int64_t FirstVisible(int64_t position, int64_t window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}

}  // namespace sluice
