#include "synth/synth_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "checkpoint/gguf_writer.h"
#include "synth/model_keys.h"
#include "synth/random_words.h"
#include "synth/tensor_list.h"

namespace sluice {
namespace {

// A tensor is made in pieces of about this many bytes.
constexpr uint64_t kPieceBytes = 4U << 20;

// Hands the bytes of a tensor to `take` (a function of a span that gives a Status), in order.
template <typename Take>
Status MakeTensor(const SynthTensor& tensor, const SynthOptions& options, const Take& take) {
  const int64_t cols = tensor.shape.back();
  const int64_t rows =
      std::accumulate(tensor.shape.begin(), tensor.shape.end() - 1, int64_t{1}, std::multiplies());
  const auto row_bytes = static_cast<uint64_t>(Spec(tensor.type->format).row_bytes(cols));
  const int64_t rows_at_once =
      std::clamp<int64_t>(static_cast<int64_t>(kPieceBytes / row_bytes), 1, rows);
  std::vector<std::byte> piece(static_cast<uint64_t>(rows_at_once) * row_bytes);
  RandomWords bits(SeedOf(tensor.name, options.seed));
  RandomWords scales(MixBits(SeedOf(tensor.name, options.seed)));
  for (int64_t row = 0; row < rows; row += rows_at_once) {
    const int64_t count = std::min(rows_at_once, rows - row);
    const std::span<std::byte> out(piece.data(), static_cast<uint64_t>(count) * row_bytes);
    if (tensor.content == TensorContent::kOnes) {
      const std::vector<float> ones(static_cast<size_t>(count * cols), 1.0F);
      SLUICE_TRY(take(std::as_bytes(std::span(ones))));
      continue;
    }
    if (tensor.content == TensorContent::kEmbedding) {
      for (int64_t i = 0; i < count; ++i) {
        FillEmbeddingRow(*tensor.type, tensor.rms, options.habits, options.seed, row + i,
                         out.subspan(static_cast<uint64_t>(i) * row_bytes, row_bytes));
      }
    } else {
      FillBlocks(*tensor.type, tensor.rms, &bits, &scales, out);
    }
    SLUICE_TRY(take(std::span<const std::byte>(out)));
  }
  return {};
}

}  // namespace

Status CheckSynthOptions(const SynthOptions& options) {
  const ModelShape& shape = options.shape;
  const RoutingHabits& habits = options.habits;
  if (shape.layers <= shape.dense_layers) {
    return InvalidArgumentError(fmt::format(
        "{} needs more than {} layers: the first has no experts", shape.name, shape.layers));
  }
  if (shape.experts < shape.top_k) {
    return InvalidArgumentError(fmt::format("{} experts are too few: a token of {} uses {}",
                                            shape.experts, shape.name, shape.top_k));
  }
  if (habits.topics < 1 || shape.vocab < kLeastVocab ||
      shape.vocab - kFirstWord - kControlTokens < habits.topics) {
    return InvalidArgumentError(
        fmt::format("a vocabulary of {} tokens is too small: bytes and control tokens need {}, and "
                    "each of the {} topics one",
                    shape.vocab, kLeastVocab, habits.topics));
  }
  if (!(habits.skew >= 0) || !(habits.locality >= 0) || habits.skew + habits.locality > 1) {
    return InvalidArgumentError(
        fmt::format("a skew of {} and a locality of {}: both are shares, and together at most 1",
                    habits.skew, habits.locality));
  }
  return {};
}

Status WriteSynthModel(const SynthOptions& options, const std::string& path,
                       const std::function<bool(uint64_t, uint64_t)>& progress) {
  SLUICE_TRY_ASSIGN(GgufWriter out, GgufWriter::Create(path, options.shape.architecture));
  WriteShapeKeys(options.shape, *options.file, &out);
  out.AddF32("sluice.synth.skew", static_cast<float>(options.habits.skew));
  out.AddF32("sluice.synth.locality", static_cast<float>(options.habits.locality));
  out.AddU32("sluice.synth.topics", static_cast<uint32_t>(options.habits.topics));
  WriteTokenizerKeys(options.shape, &out);
  const std::vector<SynthTensor> tensors = ListTensors(options.shape, *options.file);
  for (const SynthTensor& tensor : tensors) {
    out.AddTensor(tensor.name, tensor.type->format, tensor.shape);
  }
  SLUICE_TRY(out.Begin());
  uint64_t done = 0;
  for (const SynthTensor& tensor : tensors) {
    SLUICE_TRY(MakeTensor(tensor, options, [&](std::span<const std::byte> bytes) -> Status {
      done += bytes.size();
      if (progress && !progress(done, out.tensor_bytes())) {
        return CancelledError(path + ": not written, as it was interrupted");
      }
      return out.Write(bytes);
    }));
  }
  return out.Finish();
}

}  // namespace sluice
