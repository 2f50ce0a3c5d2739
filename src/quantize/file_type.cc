// The mixes give more bits to what hurts most: values, down matrices, the output.
#include "quantize/file_type.h"

#include <utility>

namespace sluice {
namespace {

constexpr FileType kFileTypes[] = {
    {"f32", Format::kF32, 0},
    {"f16", Format::kF16, 1},
    {"bf16", Format::kBF16, 32},
    {"q8_0", Format::kQ8_0, 7},
    {"q4_0", Format::kQ4_0, 2},
    {"q4_1", Format::kQ4_1, 3},
    {"q5_0", Format::kQ5_0, 8},
    {"q5_1", Format::kQ5_1, 9},
    {"q2_k", Format::kQ2_K, 10, FormatMix::kQ2},
    {"q2_k_s", Format::kQ2_K, 21, FormatMix::kQ2Small},
    {"q3_k_s", Format::kQ3_K, 11},
    {"q3_k_m", Format::kQ3_K, 12, FormatMix::kQ3Medium},
    {"q3_k_l", Format::kQ3_K, 13, FormatMix::kQ3Large},
    {"q4_k_s", Format::kQ4_K, 14, FormatMix::kQ4Small},
    {"q4_k_m", Format::kQ4_K, 15, FormatMix::kMedium},
    {"q5_k_s", Format::kQ5_K, 16},
    {"q5_k_m", Format::kQ5_K, 17, FormatMix::kMedium},
    {"q6_k", Format::kQ6_K, 18},
    {"iq4_nl", Format::kIQ4_NL, 25, FormatMix::kTable},
    {"iq4_xs", Format::kIQ4_XS, 30, FormatMix::kTable},
    {"mxfp4", Format::kMXFP4, 38, FormatMix::kMxfp4},
};

constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"q3_k", "q3_k_m"}, {"q4_k", "q4_k_m"}, {"q5_k", "q5_k_m"}, {"mxfp4_moe", "mxfp4"}};

// The first and the last eighth of the layers, and every third between.
bool GetsMoreBits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

Format ValueFormat(const FileType& file, const ModelSize& size, int64_t layer) {
  // Attention is a small part of a model of eight large experts.
  if (size.experts == 8) return Format::kQ8_0;
  const bool few_values = size.heads_per_kv_head >= 4;
  switch (file.mix) {
    case FormatMix::kQ2:
      return few_values ? Format::kQ4_K : Format::kQ3_K;
    case FormatMix::kQ2Small:
      return few_values ? Format::kQ4_K : file.base;
    case FormatMix::kQ3Medium:
      return layer < 2 ? Format::kQ5_K : Format::kQ4_K;
    case FormatMix::kQ3Large:
      return Format::kQ5_K;
    case FormatMix::kTable:
      return few_values ? Format::kQ5_K : file.base;
    case FormatMix::kMedium:
      return GetsMoreBits(layer, size.layers) ? Format::kQ6_K : file.base;
    case FormatMix::kQ4Small:
      return layer < 4 ? Format::kQ5_K : file.base;
    default:
      return file.base;
  }
}

Format DownFormat(const FileType& file, const ModelSize& size, int64_t layer) {
  const bool first_eighth = layer < size.layers / 8;
  switch (file.mix) {
    case FormatMix::kQ2:
      return Format::kQ3_K;
    case FormatMix::kQ2Small:
      return first_eighth ? Format::kQ4_K : file.base;
    case FormatMix::kQ3Medium:
      return layer < size.layers / 16 ? Format::kQ5_K : Format::kQ4_K;
    case FormatMix::kQ3Large:
      return Format::kQ5_K;
    case FormatMix::kTable:
    case FormatMix::kQ4Small:
      return first_eighth ? Format::kQ5_K : file.base;
    case FormatMix::kMedium:
      return GetsMoreBits(layer, size.layers) ? Format::kQ6_K : file.base;
    default:
      return file.base;
  }
}

Format AttentionOutFormat(const FileType& file, const ModelSize& size) {
  if (size.experts == 8) {
    const bool few_bits = file.base == Format::kQ2_K || file.base == Format::kQ3_K ||
                          file.base == Format::kQ4_K || file.mix == FormatMix::kTable;
    const bool excepted = file.mix == FormatMix::kQ2Small || file.mix == FormatMix::kQ3Large;
    return few_bits && !excepted ? Format::kQ5_K : file.base;
  }
  switch (file.mix) {
    case FormatMix::kQ2:
      return Format::kQ3_K;
    case FormatMix::kQ3Medium:
      return Format::kQ4_K;
    case FormatMix::kQ3Large:
      return Format::kQ5_K;
    default:
      return file.base;
  }
}

Format WantedFormat(const FileType& file, const ModelSize& size, const MatrixPlace& place) {
  if (!file.quantized()) return file.base;
  if (place.role == MatrixRole::kOutput) {
    const bool whole_blocks = place.cols % Spec(file.base).block_elements == 0;
    const bool eight_bits = file.base == Format::kQ8_0 || file.mix == FormatMix::kMxfp4;
    return eight_bits || !whole_blocks ? Format::kQ8_0 : Format::kQ6_K;
  }
  if (file.mix == FormatMix::kMxfp4) return place.of_experts ? Format::kMXFP4 : Format::kQ8_0;
  switch (place.role) {
    case MatrixRole::kAttentionK:
      return size.experts == 8 ? Format::kQ8_0 : file.base;
    case MatrixRole::kAttentionV:
      return ValueFormat(file, size, place.layer);
    case MatrixRole::kAttentionOut:
      return AttentionOutFormat(file, size);
    case MatrixRole::kDown:
      return DownFormat(file, size, place.layer);
    default:
      return file.base;
  }
}

// For rows that blocks of 256 do not divide.
Format SmallerBlocks(Format format) {
  switch (format) {
    case Format::kQ2_K:
    case Format::kQ3_K:
      return Format::kQ4_0;
    case Format::kQ4_K:
      return Format::kQ5_0;
    case Format::kQ5_K:
      return Format::kQ5_1;
    case Format::kQ6_K:
      return Format::kQ8_0;
    case Format::kIQ4_XS:
      return Format::kIQ4_NL;
    default:
      return format;
  }
}

}  // namespace

const FileType* FindFileType(std::string_view name) {
  for (const auto& [alias, meant] : kAliases) {
    if (name == alias) name = meant;
  }
  for (const FileType& type : kFileTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::vector<std::string_view> FileTypeNames() {
  std::vector<std::string_view> names;
  for (const FileType& type : kFileTypes) names.emplace_back(type.name);
  return names;
}

Format MatrixFormat(const FileType& file, const ModelSize& size, const MatrixPlace& place) {
  Format format = WantedFormat(file, size, place);
  if (place.cols % Spec(format).block_elements != 0) format = SmallerBlocks(format);
  // Rows that even blocks of 32 do not divide are rare, and stay floats.
  return place.cols % Spec(format).block_elements == 0 ? format : Format::kF16;
}

}  // namespace sluice
