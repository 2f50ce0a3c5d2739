// One table, expanded from the list: generic code for every format comes from its header alone.
#include "tensor/format.h"

#include <array>
#include <cstring>

namespace sluice {
namespace {

template <typename F>
typename F::Block LoadBlock(const std::byte* in) {
  typename F::Block block{};
  std::memcpy(&block, in, sizeof(block));
  return block;
}

template <typename F>
void DecodeBlocks(const std::byte* in, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b) {
    F::Decode(LoadBlock<F>(in + b * static_cast<int64_t>(sizeof(typename F::Block))),
              out + b * F::kBlockElements);
  }
}

template <typename F>
float DotF32(const std::byte* row, int64_t blocks, const float* x) {
  float sum = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    float decoded[F::kBlockElements];
    F::Decode(LoadBlock<F>(row + b * static_cast<int64_t>(sizeof(typename F::Block))), decoded);
    for (int i = 0; i < F::kBlockElements; ++i) {
      sum = std::fma(decoded[i], x[b * F::kBlockElements + i], sum);
    }
  }
  return sum;
}

template <typename F>
float DotQ8(const std::byte* row, int64_t blocks, const Q8Row& x) {
  constexpr int kParts = F::kBlockElements / kQ8BlockElements;
  float sum = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    Q8BlockView views[kParts];
    for (int i = 0; i < kParts; ++i) views[i] = Q8Block(x, b * kParts + i);
    sum =
        F::Dot(LoadBlock<F>(row + b * static_cast<int64_t>(sizeof(typename F::Block))), views, sum);
  }
  return sum;
}

template <typename F>
constexpr FormatSpec MakeSpec(Format format) {
  FormatSpec spec{.format = format,
                  .name = F::kName,
                  .gguf_type = F::kGgufType,
                  .block_elements = F::kBlockElements,
                  .block_bytes = sizeof(typename F::Block),
                  .activation = F::kActivation,
                  .fields = F::kFields,
                  .pack_blocks = F::kPackBlocks,
                  .decode = DecodeBlocks<F>,
                  .dot_f32 = nullptr,
                  .dot_q8 = nullptr};
  if constexpr (F::kActivation == Activation::kQ8) {
    spec.dot_q8 = DotQ8<F>;
  } else {
    spec.dot_f32 = DotF32<F>;
  }
  return spec;
}

constexpr FormatSpec kSpecs[] = {
#define SLUICE_FORMAT_SPEC(F) MakeSpec<F>(Format::k##F),
    SLUICE_FORMATS(SLUICE_FORMAT_SPEC)
#undef SLUICE_FORMAT_SPEC
};

struct GgufType {
  uint32_t type;
  std::string_view name;
};
// ggml's type numbers, for messages about files that we cannot read.
constexpr std::array kGgufTypes = {
    GgufType{0, "F32"},     GgufType{1, "F16"},      GgufType{2, "Q4_0"},
    GgufType{3, "Q4_1"},    GgufType{6, "Q5_0"},     GgufType{7, "Q5_1"},
    GgufType{8, "Q8_0"},    GgufType{9, "Q8_1"},     GgufType{10, "Q2_K"},
    GgufType{11, "Q3_K"},   GgufType{12, "Q4_K"},    GgufType{13, "Q5_K"},
    GgufType{14, "Q6_K"},   GgufType{15, "Q8_K"},    GgufType{16, "IQ2_XXS"},
    GgufType{17, "IQ2_XS"}, GgufType{18, "IQ3_XXS"}, GgufType{19, "IQ1_S"},
    GgufType{20, "IQ4_NL"}, GgufType{21, "IQ3_S"},   GgufType{22, "IQ2_S"},
    GgufType{23, "IQ4_XS"}, GgufType{24, "I8"},      GgufType{25, "I16"},
    GgufType{26, "I32"},    GgufType{27, "I64"},     GgufType{28, "F64"},
    GgufType{29, "IQ1_M"},  GgufType{30, "BF16"},    GgufType{34, "TQ1_0"},
    GgufType{35, "TQ2_0"},  GgufType{39, "MXFP4"},   GgufType{40, "NVFP4"}};

}  // namespace

const FormatSpec& Spec(Format format) { return kSpecs[static_cast<size_t>(format)]; }

std::span<const FormatSpec> AllFormats() { return kSpecs; }

std::optional<Format> FormatOfGgufType(uint32_t type) {
  for (const FormatSpec& spec : kSpecs) {
    if (spec.gguf_type == type) return spec.format;
  }
  return std::nullopt;
}

std::optional<Format> FormatByName(std::string_view name) {
  for (const FormatSpec& spec : kSpecs) {
    if (spec.name == name) return spec.format;
  }
  return std::nullopt;
}

std::string_view GgufTypeName(uint32_t type) {
  for (const GgufType& known : kGgufTypes) {
    if (known.type == type) return known.name;
  }
  return "an unknown type";
}

}  // namespace sluice
