// One block of 32 added to a sum, by each rule (block_rules.h). Needs Isa.

// Calls body.operator()<0>() .. <kCount - 1>(): a loop whose arrays can live in registers.
template <int kCount, typename Body>
SLUICE_INLINE void Unrolled(const Body& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) SLUICE_INLINE_LAMBDA {
    (body.template operator()<i>(), ...);
  }
  (std::make_integer_sequence<int, kCount>());
}

// What a rule takes of one column's block.
struct ColumnNumbers {
  float scale;
  float scaled_sum;
  float sum16[2];
};
SLUICE_INLINE ColumnNumbers NumbersOf(const Q8Row& x, int64_t block) {
  return {x.scale[block],
          x.scaled_sum[block],
          {static_cast<float>(x.sum16[block * 2]), static_cast<float>(x.sum16[block * 2 + 1])}};
}
SLUICE_INLINE ColumnNumbers NumbersOf(const ColumnBlock& x, int column) {
  return {x.scale[column], x.scaled_sum[column], {x.sum16[0][column], x.sum16[1][column]}};
}

// dots: one sum of products, or two by halves. Those sums and what the halves' integer scales make
// of them are below 2^24: floats hold them exactly.
template <BlockRule kRule>
SLUICE_INLINE Isa::F AddBlock(const Isa::I* dots, const Isa::F* numbers, const ColumnNumbers& x,
                              Isa::F sum) {
  const Isa::F x_scale = Isa::Set1F(x.scale);
  Isa::F dot = Isa::ToFloat(dots[0]);
  if constexpr (ByHalves(kRule)) {
    dot = Isa::Fma(Isa::ToFloat(dots[1]), numbers[2], Isa::Mul(dot, numbers[1]));
  }
  sum = Isa::Fma(dot, Isa::Mul(numbers[0], x_scale), sum);
  if constexpr (kRule == BlockRule::kScaleMin) {
    sum = Isa::Fma(numbers[1], Isa::Set1F(x.scaled_sum), sum);
  }
  if constexpr (kRule == BlockRule::kHalvesMin) {
    const Isa::F min =
        Isa::Fma(Isa::Set1F(x.sum16[1]), numbers[5], Isa::Mul(Isa::Set1F(x.sum16[0]), numbers[4]));
    sum = Isa::Fma(Isa::Mul(numbers[3], x_scale), min, sum);
  }
  return sum;
}
