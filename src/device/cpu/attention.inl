// Attention of a few tokens that follow each other, with the query heads that share a KV head: part
// of kernels.inl.
//
// Keys are taken 64 at a time, in blocks that start at multiples of 64 of the position, and every
// sum has an order of its own: a score is summed over its dimensions, ascending, by fma; a block's
// weights in 16 lanes and then across them; an output over positions, ascending, by fma. So nothing
// depends on which tokens and heads are taken together. Running maximum and sum as in online
// softmax (Milakov and Gimelshein, 2018); a sink is a first score, whose value is zero.

constexpr int64_t kKeys = 64;

template <KvFormat kFormat>
SLUICE_INLINE V16f LoadKv16(const std::byte* row, int64_t i) {
  if constexpr (kFormat == KvFormat::kF32) {
    return LoadV(reinterpret_cast<const float*>(row) + i);
  } else if constexpr (kFormat == KvFormat::kF16) {
    return Isa::F16x16(row + 2 * i);
  } else if constexpr (kFormat == KvFormat::kBF16) {
    return Isa::BF16x16(row + 2 * i);
  } else {
    const std::byte* block = row + i / 32 * 34;
    uint16_t scale;
    std::memcpy(&scale, block, sizeof(scale));
    return Isa::S8x16(block + 2 + i % 32) * F16ToF32(scale);
  }
}

// Rows begin .. end - 1 of a block, as floats; the other rows become zero.
template <KvFormat kFormat>
void DecodeRows(const std::byte* rows, int64_t row_bytes, int64_t dim, int64_t begin, int64_t end,
                float* out) {
  for (int64_t k = 0; k < kKeys; ++k, rows += row_bytes, out += dim) {
    if (k < begin || k >= end) {
      for (int64_t i = 0; i < dim; i += 16) StoreV(out + i, V16f{});
    } else {
      for (int64_t i = 0; i < dim; i += 16) StoreV(out + i, LoadKv16<kFormat>(rows, i));
    }
  }
}

// scores[r][k] = scale * (q[r] . key k) for the 64 keys of `turned` [dim, 64].
template <int R>
void Scores(const float* const* q, const float* turned, int64_t dim, float scale,
            float* const* scores) {
  constexpr int kStep = 2 * Isa::kLanes;
  for (int64_t k = 0; k < kKeys; k += kStep) {
    typename Isa::F sums[R][2];
    Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA { sums[r][0] = sums[r][1] = Isa::Zero(); });
    const float* at = turned + k;
    for (int64_t i = 0; i < dim; ++i, at += kKeys) {
      const Isa::F key0 = Isa::LoadFloats(at);
      const Isa::F key1 = Isa::LoadFloats(at + Isa::kLanes);
      Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA {
        const Isa::F x = Isa::Set1F(q[r][i]);
        sums[r][0] = Isa::Fma(x, key0, sums[r][0]);
        sums[r][1] = Isa::Fma(x, key1, sums[r][1]);
      });
    }
    Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA {
      Isa::StoreF(scores[r] + k, Isa::Mul(sums[r][0], Isa::Set1F(scale)));
      Isa::StoreF(scores[r] + k + Isa::kLanes, Isa::Mul(sums[r][1], Isa::Set1F(scale)));
    });
  }
}

// sums[r] += weights[r][k] * values[k] for k = begin .. end - 1; values [64, dim of `stride`].
template <int R, int V>
SLUICE_INLINE void AddValuesAt(const float* const* weights, const float* values, int64_t stride,
                               int64_t begin, int64_t end, int64_t i, float* const* sums) {
  typename Isa::F all[R][V];
  Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA {
    Unrolled<V>([&]<int v>() SLUICE_INLINE_LAMBDA {
      all[r][v] = Isa::LoadFloats(sums[r] + i + v * Isa::kLanes);
    });
  });
  const float* at = values + begin * stride + i;
  for (int64_t k = begin; k < end; ++k, at += stride) {
    typename Isa::F value[V];
    Unrolled<V>([&]<int v>()
                    SLUICE_INLINE_LAMBDA { value[v] = Isa::LoadFloats(at + v * Isa::kLanes); });
    Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA {
      const Isa::F weight = Isa::Set1F(weights[r][k]);
      Unrolled<V>([&]<int v>()
                      SLUICE_INLINE_LAMBDA { all[r][v] = Isa::Fma(weight, value[v], all[r][v]); });
    });
  }
  Unrolled<R>([&]<int r>() SLUICE_INLINE_LAMBDA {
    Unrolled<V>([&]<int v>() SLUICE_INLINE_LAMBDA {
      Isa::StoreF(sums[r] + i + v * Isa::kLanes, all[r][v]);
    });
  });
}

template <int R>
void AddValues(const float* const* weights, const float* values, int64_t stride, int64_t dim,
               int64_t begin, int64_t end, float* const* sums) {
  if (begin >= end) return;
  int64_t i = 0;
  for (; i + 2 * Isa::kLanes <= dim; i += 2 * Isa::kLanes) {
    AddValuesAt<R, 2>(weights, values, stride, begin, end, i, sums);
  }
  for (; i < dim; i += Isa::kLanes) {
    AddValuesAt<R, 1>(weights, values, stride, begin, end, i, sums);
  }
}

// Which of a block's keys a row sees: first .. last - 1.
struct KeyRange {
  int64_t first;
  int64_t last;
};

// Turns scores into weights; `sums` and `total` shrink to the new maximum.
inline void Soften(const KeyRange& seen, int64_t dim, float* scores, float* maximum, float* total,
                   float* sums) {
  for (int64_t k = 0; k < seen.first; ++k) scores[k] = -__builtin_inff();
  for (int64_t k = seen.last; k < kKeys; ++k) scores[k] = -__builtin_inff();
  V16f most = LoadV(scores);
  for (int64_t k = 16; k < kKeys; k += 16) {
    const V16f v = LoadV(scores + k);
    most = v > most ? v : most;
  }
  float lanes[16];
  StoreV(lanes, most);
  float largest = *maximum;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  const float shrink = Exp(*maximum - largest);
  *maximum = largest;
  V16f weights = {};
  for (int64_t k = 0; k < kKeys; k += 16) {
    const V16f weight = ExpV(LoadV(scores + k) - largest);
    StoreV(scores + k, weight);
    weights += weight;
  }
  *total = *total * shrink + SumLanes(weights);
  if (shrink == 1) return;
  for (int64_t i = 0; i < dim; i += 16) StoreV(sums + i, LoadV(sums + i) * shrink);
}

// The rows of one tile: row t * heads + h is head h of token t.
class AttentionTile {
 public:
  AttentionTile(const KvLayout& layout, const AttendCall& call)
      : layout_(layout), call_(call), rows_(call.tokens * call.heads) {
    float* next = call.scratch;
    const auto take = [&next](int64_t floats) { return std::exchange(next, next + floats); };
    keys_ = take(kKeys * layout.key_dim);
    turned_ = take(kKeys * layout.key_dim);
    values_ = layout.values == KvValues::kInKeys ? keys_ : take(kKeys * layout.value_dim);
    value_stride_ = layout.values == KvValues::kInKeys ? layout.key_dim : layout.value_dim;
    scores_ = take(rows_ * kKeys);
    maxima_ = take(rows_);
    totals_ = take(rows_);
    sums_ = take(rows_ * layout.value_dim);
    for (int64_t r = 0; r < rows_; ++r) {
      const float* sink = call.sinks != nullptr ? call.sinks + r % call.heads : nullptr;
      maxima_[r] = sink != nullptr ? *sink : -__builtin_inff();
      totals_[r] = sink != nullptr ? 1.0F : 0.0F;
    }
    for (int64_t i = 0; i < rows_ * layout.value_dim; ++i) sums_[i] = 0;
  }

  template <KvFormat kFormat>
  void Run(float* out) {
    const int64_t first_position = call_.places[0].position;
    const int64_t last_position = first_position + call_.tokens - 1;
    const int64_t visible = FirstVisible(first_position, call_.window);
    for (int64_t first = visible / kKeys * kKeys; first <= last_position; first += kKeys) {
      const int64_t begin = visible > first ? visible - first : 0;
      const int64_t left = last_position + 1 - first;
      Decode<kFormat>(first, begin, left < kKeys ? left : kKeys);
      AddBlock(first);
    }
    for (int64_t r = 0; r < rows_; ++r) {
      const float inverse = 1.0F / totals_[r];
      const float* sums = sums_ + r * layout_.value_dim;
      float* to = out + r / call_.heads * call_.out_stride + r % call_.heads * layout_.value_dim;
      for (int64_t i = 0; i < layout_.value_dim; i += 16) {
        StoreV(to + i, LoadV(sums + i) * inverse);
      }
    }
  }

 private:
  template <KvFormat kFormat>
  void Decode(int64_t first, int64_t begin, int64_t end) {
    const std::byte* page = call_.places[0].pages[first / layout_.page_tokens];
    DecodeRows<kFormat>(page + KvRowOffset(layout_, KvPart::kKey, call_.kv_head, first),
                        KvRowBytes(kFormat, layout_.key_dim), layout_.key_dim, begin, end, keys_);
    for (int64_t k = 0; k < kKeys; k += Isa::kLanes) {
      for (int64_t i = 0; i < layout_.key_dim; i += Isa::kLanes) {
        Isa::Transpose(keys_ + k * layout_.key_dim + i, layout_.key_dim, turned_ + i * kKeys + k,
                       kKeys);
      }
    }
    if (layout_.values == KvValues::kInKeys) return;
    DecodeRows<kFormat>(page + KvRowOffset(layout_, KvPart::kValue, call_.kv_head, first),
                        KvRowBytes(kFormat, layout_.value_dim), layout_.value_dim, begin, end,
                        values_);
  }

  KeyRange Seen(int64_t row, int64_t first) const {
    const int64_t position = call_.places[0].position + row / call_.heads;
    const int64_t visible = FirstVisible(position, call_.window);
    return {.first = visible > first ? visible - first : 0,
            .last = position + 1 - first < kKeys ? position + 1 - first : kKeys};
  }

  // Rows that see none of a block come first (later tokens may) or last (a window has left it).
  void AddBlock(int64_t first) {
    int64_t row = 0;
    int64_t end = rows_;
    while (row < end && Seen(row, first).last <= 0) ++row;
    while (end > row && Seen(end - 1, first).first >= kKeys) --end;
    for (; row + 4 <= end; row += 4) AddRows<4>(row, first);
    for (; row < end; ++row) AddRows<1>(row, first);
  }

  template <int R>
  void AddRows(int64_t row, int64_t first) {
    const float* q[R];
    float* scores[R];
    float* sums[R];
    KeyRange seen[R];
    KeyRange common = {0, kKeys};
    for (int r = 0; r < R; ++r) {
      const int64_t at = row + r;
      q[r] = call_.q + at / call_.heads * call_.q_stride + at % call_.heads * layout_.key_dim;
      scores[r] = scores_ + at * kKeys;
      sums[r] = sums_ + at * layout_.value_dim;
      seen[r] = Seen(at, first);
      common.first = seen[r].first > common.first ? seen[r].first : common.first;
      common.last = seen[r].last < common.last ? seen[r].last : common.last;
    }
    Scores<R>(q, turned_, layout_.key_dim, call_.scale, scores);
    for (int r = 0; r < R; ++r) {
      Soften(seen[r], layout_.value_dim, scores[r], maxima_ + row + r, totals_ + row + r, sums[r]);
    }
    // Each row meets its values in ascending order: those that not all rows see, alone.
    if (common.last < common.first) common.last = common.first;
    const auto alone = [&](int r, int64_t from, int64_t to) {
      AddValues<1>(scores + r, values_, value_stride_, layout_.value_dim, from, to, sums + r);
    };
    for (int r = 0; r < R; ++r) {
      alone(r, seen[r].first, seen[r].last < common.first ? seen[r].last : common.first);
    }
    AddValues<R>(scores, values_, value_stride_, layout_.value_dim, common.first, common.last,
                 sums);
    for (int r = 0; r < R; ++r) {
      alone(r, seen[r].first > common.last ? seen[r].first : common.last, seen[r].last);
    }
  }

  const KvLayout& layout_;
  const AttendCall& call_;
  const int64_t rows_;
  float* keys_;    // [64, key_dim]
  float* turned_;  // [key_dim, 64]
  float* values_;  // [64, value_stride_]
  int64_t value_stride_;
  float* scores_;  // [rows, 64]: scores, then weights
  float* maxima_;  // [rows]
  float* totals_;  // [rows]
  float* sums_;    // [rows, value_dim]
};

void Attend(const KvLayout& layout, const AttendCall& call, float* out) {
  AttentionTile tile(layout, call);
  switch (layout.format) {
    case KvFormat::kF32:
      return tile.Run<KvFormat::kF32>(out);
    case KvFormat::kF16:
      return tile.Run<KvFormat::kF16>(out);
    case KvFormat::kBF16:
      return tile.Run<KvFormat::kBF16>(out);
    case KvFormat::kQ8_0:
      return tile.Run<KvFormat::kQ8_0>(out);
  }
}
