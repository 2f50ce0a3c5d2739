#include "store/dense_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace sluice {
namespace {

// Matrices start on cache lines; reads go through a window of this size.
constexpr uint64_t kAlignment = 64;
constexpr uint64_t kWindowBytes = 4U << 20;

uint64_t Aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Rows that are read and packed together: whole pack groups, at least one.
int64_t WindowRows(const TensorExtent& extent) {
  const int64_t group_bytes = Device::kPackRows * Spec(extent.format).row_bytes(extent.cols);
  return Device::kPackRows * std::max<int64_t>(1, static_cast<int64_t>(kWindowBytes) / group_bytes);
}

// A file's kv_b holds what keys and what values of a head are made of. The first is multiplied the
// other way round, so it is stored transposed; blocks of a quantized format cannot be, so of those
// it holds the floats.
struct KvB {
  KvB(const TensorExtent& all, const Attention& a)
      : extent(all),
        heads(a.heads),
        nope(a.latent->nope_dim),
        value(a.latent->value_dim),
        key_format(Spec(all.format).block_elements == 1 ? all.format : Format::kF32) {}

  int64_t head_rows() const { return nope + value; }
  uint64_t window_bytes() const {
    return static_cast<uint64_t>(head_rows() * Spec(extent.format).row_bytes(extent.cols));
  }
  uint64_t key_bytes() const {
    return static_cast<uint64_t>(heads * extent.cols * Spec(key_format).row_bytes(nope));
  }
  uint64_t value_bytes() const {
    return static_cast<uint64_t>(heads * value * Spec(extent.format).row_bytes(extent.cols));
  }

  const TensorExtent& extent;
  const int64_t heads;
  const int64_t nope;
  const int64_t value;
  const Format key_format;
};

uint64_t WindowBytesFor(const Model& model) {
  uint64_t largest = 0;
  for (const auto& [role, extent] : model.dense.Matrices()) {
    const int64_t rows = std::min(WindowRows(*extent), extent->rows);
    largest = std::max(largest,
                       static_cast<uint64_t>(rows * Spec(extent->format).row_bytes(extent->cols)));
  }
  for (const auto& [role, extent] : model.dense.Vectors())
    largest = std::max(largest, extent->bytes);
  for (const LayerTensors& layer : model.dense.layers) {
    if (layer.kv_b.file == nullptr) continue;
    const KvB kv_b(layer.kv_b, model.spec.attention);
    largest = std::max(largest, kv_b.window_bytes());
  }
  return largest;
}

uint64_t MatrixBytes(const Model& model) {
  uint64_t total = 0;
  for (const auto& [role, extent] : model.dense.Matrices()) total += Aligned(extent->bytes);
  for (const LayerTensors& layer : model.dense.layers) {
    if (layer.kv_b.file == nullptr) continue;
    const KvB kv_b(layer.kv_b, model.spec.attention);
    total += Aligned(kv_b.key_bytes()) + Aligned(kv_b.value_bytes()) - Aligned(layer.kv_b.bytes);
  }
  return total;
}

uint64_t VectorBytes(const Model& model) {
  uint64_t total = 0;
  for (const auto& [role, extent] : model.dense.Vectors()) {
    total += static_cast<uint64_t>(extent->cols) * sizeof(float);
  }
  return total;
}

// The transpose of [rows, cols] numbers.
template <typename T>
void Transpose(const std::byte* from, int64_t rows, int64_t cols, std::byte* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      std::memcpy(to + (c * rows + r) * static_cast<int64_t>(sizeof(T)),
                  from + (r * cols + c) * static_cast<int64_t>(sizeof(T)), sizeof(T));
    }
  }
}

}  // namespace

class DenseWeights::Loader {
 public:
  Loader(const Model& model, const Device& device, const Progress& progress,
         const PageBuffer& memory, std::byte* window)
      : tensors_(model.checkpoint.tensors),
        device_(device),
        progress_(progress),
        total_(model.dense.total_bytes()),
        begin_(memory.data()),
        next_(memory.data()),
        end_(memory.data() + memory.size()),
        window_(window) {}

  Result<WeightView> Matrix(const TensorExtent& extent) {
    const FormatSpec& spec = Spec(extent.format);
    const int64_t row_bytes = spec.row_bytes(extent.cols);
    const int64_t step = WindowRows(extent);
    const WeightView view = Take(extent.format, extent.rows, extent.cols);
    std::byte* begin = At(view);
    for (int64_t row = 0; row < extent.rows; row += step) {
      const int64_t rows = std::min(step, extent.rows - row);
      const auto bytes = static_cast<size_t>(rows * row_bytes);
      SLUICE_TRY(extent.file->ReadAt(extent.offset + static_cast<uint64_t>(row * row_bytes),
                                     std::span(window_, bytes)));
      device_.Pack(extent.format, rows, extent.cols, window_, begin + row * row_bytes);
      Report(bytes);
    }
    return view;
  }

  Status KeysAndValues(const KvB& kv_b, WeightView* k_b, WeightView* v_b) {
    const FormatSpec& spec = Spec(kv_b.extent.format);
    const int64_t rank = kv_b.extent.cols;
    const int64_t row_bytes = spec.row_bytes(rank);
    *k_b = Take(kv_b.key_format, kv_b.heads * rank, kv_b.nope);
    *v_b = Take(kv_b.extent.format, kv_b.heads * kv_b.value, rank);
    const int64_t key_head_bytes = rank * Spec(kv_b.key_format).row_bytes(kv_b.nope);
    std::vector<float> decoded(static_cast<size_t>(kv_b.nope * rank));
    std::vector<std::byte> transposed(static_cast<size_t>(key_head_bytes));
    for (int64_t h = 0; h < kv_b.heads; ++h) {
      const auto bytes = static_cast<size_t>(kv_b.window_bytes());
      SLUICE_TRY(kv_b.extent.file->ReadAt(
          kv_b.extent.offset + static_cast<uint64_t>(h) * kv_b.window_bytes(),
          std::span(window_, bytes)));
      if (spec.block_elements > 1) {
        spec.decode(window_, kv_b.nope * rank / spec.block_elements, decoded.data());
        Transpose<float>(reinterpret_cast<const std::byte*>(decoded.data()), kv_b.nope, rank,
                         transposed.data());
      } else if (spec.block_bytes == 4) {
        Transpose<uint32_t>(window_, kv_b.nope, rank, transposed.data());
      } else {
        Transpose<uint16_t>(window_, kv_b.nope, rank, transposed.data());
      }
      device_.Pack(kv_b.key_format, rank, kv_b.nope, transposed.data(),
                   At(*k_b) + h * key_head_bytes);
      device_.Pack(kv_b.extent.format, kv_b.value, rank, window_ + kv_b.nope * row_bytes,
                   At(*v_b) + h * kv_b.value * row_bytes);
      Report(bytes);
    }
    return {};
  }

  Result<std::vector<float>> Vector(const TensorExtent& extent) {
    const FormatSpec& spec = Spec(extent.format);
    SLUICE_TRY(extent.file->ReadAt(extent.offset, std::span(window_, extent.bytes)));
    const auto step = static_cast<size_t>(extent.order.step);
    std::vector<float> values(static_cast<size_t>(extent.cols) * step);
    spec.decode(window_, std::ssize(values) / spec.block_elements, values.data());
    if (step > 1) {  // every so many belong to this vector
      for (size_t i = 0; i < static_cast<size_t>(extent.cols); ++i) {
        values[i] = values[static_cast<size_t>(extent.order.first) + i * step];
      }
      values.resize(static_cast<size_t>(extent.cols));
      values.shrink_to_fit();
    }
    if (!std::ranges::all_of(values, [](float x) { return std::isfinite(x); })) {
      return CorruptError(tensors_.Describe(extent) +
                          " has a number that is NaN or infinite: the file is damaged");
    }
    Report(extent.bytes);
    return values;
  }

 private:
  // Room for a matrix.
  WeightView Take(Format format, int64_t rows, int64_t cols) {
    const auto bytes = static_cast<uint64_t>(rows * Spec(format).row_bytes(cols));
    SLUICE_CHECK(next_ + bytes <= end_);
    const WeightView view{.bytes = next_, .format = format, .rows = rows, .cols = cols};
    next_ += Aligned(bytes);
    return view;
  }
  std::byte* At(const WeightView& view) const { return begin_ + (view.bytes - begin_); }

  void Report(uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

  const TensorTable& tensors_;
  const Device& device_;
  const Progress& progress_;
  const uint64_t total_;
  uint64_t done_ = 0;
  std::byte* const begin_;
  std::byte* next_;  // where the next matrix goes
  std::byte* end_;
  std::byte* window_;  // raw rows
};

uint64_t DenseWeights::BytesNeeded(const Model& model) {
  return MatrixBytes(model) + VectorBytes(model) + WindowBytesFor(model);
}

Result<std::unique_ptr<DenseWeights>> DenseWeights::Load(const Model& model, const Device& device,
                                                         const Progress& progress) {
  std::unique_ptr<DenseWeights> weights(new DenseWeights());
  SLUICE_TRY_ASSIGN(
      weights->memory_,
      PageBuffer::Allocate(MatrixBytes(model), "the dense weights of " + model.checkpoint.path));
  SLUICE_TRY_ASSIGN(
      const PageBuffer window,
      PageBuffer::Allocate(WindowBytesFor(model), "reading " + model.checkpoint.path));
  Loader loader(model, device, progress, weights->memory_, window.data());
  const DenseTensors& dense = model.dense;
  SLUICE_TRY_ASSIGN(weights->embedding_, loader.Matrix(dense.embedding));
  weights->output_ = weights->embedding_;
  if (dense.output.file != nullptr) {
    SLUICE_TRY_ASSIGN(weights->output_, loader.Matrix(dense.output));
  }
  SLUICE_TRY_ASSIGN(weights->output_norm_, loader.Vector(dense.output_norm));
  if (dense.rope_factors.file != nullptr) {
    SLUICE_TRY_ASSIGN(weights->rope_factors_, loader.Vector(dense.rope_factors));
    if (!std::ranges::all_of(weights->rope_factors_, [](float f) { return f > 0; })) {
      return CorruptError(model.checkpoint.tensors.Describe(dense.rope_factors) +
                          " divides RoPE's frequencies by a number that is not positive");
    }
  }
  for (const LayerTensors& tensors : dense.layers) {
    LayerWeights layer;
    const auto matrix = [&](TensorRole, const TensorExtent& extent, WeightView& view) -> Status {
      if (extent.file == nullptr) return {};
      if (&extent == &tensors.kv_b) {
        return loader.KeysAndValues(KvB(extent, model.spec.attention), &layer.k_b, &layer.v_b);
      }
      SLUICE_TRY_ASSIGN(view, loader.Matrix(extent));
      return {};
    };
    const auto vector = [&](TensorRole, const TensorExtent& extent,
                            std::vector<float>& values) -> Status {
      if (extent.file == nullptr) return {};
      SLUICE_TRY_ASSIGN(values, loader.Vector(extent));
      return {};
    };
    SLUICE_TRY(VisitParts(TensorRole::kFeedForward, tensors, layer, matrix, vector));
    weights->layers_.push_back(std::move(layer));
  }
  return weights;
}

}  // namespace sluice
