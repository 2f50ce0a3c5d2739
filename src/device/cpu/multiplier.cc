#include "device/cpu/multiplier.h"

#include <algorithm>
#include <cstring>

#include "device/cpu/row_group.h"

namespace sluice {
namespace {

// Weights that a thread takes at a time: enough to stream from DRAM at full rate, little enough to
// stay in L2 while all columns pass over them.
constexpr int64_t kChunkBytes = 512 << 10;

// A matrix's groups, cut into chunks of about kChunkBytes.
struct Chunks {
  explicit Chunks(const WeightView& weight, int64_t threads)
      : groups((weight.rows + kGroupRows - 1) / kGroupRows),
        group_bytes(kGroupRows * Spec(weight.format).row_bytes(weight.cols)) {
    const int64_t fair = (groups + 4 * threads - 1) / (4 * threads);
    per_chunk = std::clamp<int64_t>(kChunkBytes / group_bytes, 1, std::max<int64_t>(fair, 1));
    count = (groups + per_chunk - 1) / per_chunk;
  }
  int64_t groups;
  int64_t group_bytes;
  int64_t per_chunk;
  int64_t count;
};

// Where a group's results for some columns go: the rows of the output, or, where the matrix ends
// within the group, memory of this object until Finish.
class OutTile {
 public:
  // Not more is written than is used: NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  OutTile(const ProductWork& work, int64_t group, int64_t first_column, int columns)
      : work_(work),
        first_row_(group * kGroupRows),
        rows_(std::min(kGroupRows, work.weight.rows - first_row_)),
        first_column_(first_column),
        columns_(columns) {
    for (int c = 0; c < columns; ++c) out_[c] = rows_ == kGroupRows ? Target(c) : spare_[c];
  }
  float* const* out() const { return out_; }
  // Adds the bias.
  void Finish() const {
    for (int c = 0; c < columns_; ++c) {
      if (work_.inputs.bias != nullptr) {
        for (int64_t r = 0; r < rows_; ++r) out_[c][r] += work_.inputs.bias[first_row_ + r];
      }
      if (rows_ < kGroupRows) std::copy_n(spare_[c], rows_, Target(c));
    }
  }

 private:
  float* Target(int c) const {
    return (*work_.inputs.out)[static_cast<size_t>(first_column_ + c)] + first_row_;
  }
  const ProductWork& work_;
  int64_t first_row_;
  int64_t rows_;
  int64_t first_column_;
  int columns_;
  float* out_[kPanelColumns];
  float spare_[kPanelColumns][kGroupRows];
};

float Dot(const FormatSpec& spec, const std::byte* row, int64_t cols, const InputRows& rows,
          size_t column) {
  const int64_t blocks = cols / spec.block_elements;
  return spec.activation == Activation::kQ8 ? spec.dot_q8(row, blocks, rows.quantized[column])
                                            : spec.dot_f32(row, blocks, rows.floats[column]);
}

// Formats without a kernel of their own: row by row, as the format's header defines.
void MultiplyRows(const ProductWork& work, int64_t group, int64_t first_column, int columns,
                  float* const* out) {
  const FormatSpec& spec = Spec(work.weight.format);
  const int64_t cols = work.weight.cols;
  const int64_t first_row = group * kGroupRows;
  const int64_t rows = std::min(kGroupRows, work.weight.rows - first_row);
  std::vector<std::byte> row(static_cast<size_t>(spec.row_bytes(cols)));
  for (int64_t r = 0; r < rows; ++r) {
    UnpackRow(spec, rows, cols, r, work.weight.bytes + first_row * spec.row_bytes(cols),
              row.data());
    for (int c = 0; c < columns; ++c) {
      out[c][r] =
          Dot(spec, row.data(), cols, *work.inputs.rows, static_cast<size_t>(first_column + c));
    }
  }
}

// A group of 16 rows; the incomplete one at the end of a matrix in memory of this thread.
const std::byte* WholeGroup(const WeightView& weight, int64_t group) {
  const FormatSpec& spec = Spec(weight.format);
  const int64_t first_row = group * kGroupRows;
  const int64_t rows = std::min(kGroupRows, weight.rows - first_row);
  const std::byte* bytes = weight.bytes + first_row * spec.row_bytes(weight.cols);
  if (rows == kGroupRows) return bytes;
  thread_local std::vector<std::byte> wide;
  const auto size = static_cast<size_t>(kGroupRows * spec.row_bytes(weight.cols));
  if (wide.size() < size) wide.resize(size);
  WidenGroup(spec, rows, weight.cols, bytes, wide.data());
  return wide.data();
}
}  // namespace

void Multiplier::Prepare(Activation activation, int64_t cols, Scratch* scratch, InputRows* rows) {
  const auto count = static_cast<int64_t>(rows->floats.size());
  if (activation == Activation::kQ8 && rows->quantized.empty()) {
    const int64_t row_bytes = Q8RowBytes(cols);
    std::byte* buffer = scratch->Get(count * row_bytes);
    for (int64_t r = 0; r < count; ++r) {
      rows->quantized.push_back(Q8RowAt(buffer + r * row_bytes, cols));
    }
    ForRows(count, cols, [&](int64_t r) {
      const auto row = static_cast<size_t>(r);
      kernels_.quantize_q8(rows->floats[row], cols, rows->quantized[row]);
    });
  }
}

void Multiplier::LayOutPanels(std::span<InputRows* const> inputs, int64_t cols) {
  if (panels_ == nullptr) return;
  struct Panel {
    const Q8Row* rows;
    int count;
    ColumnBlock* to;
  };
  std::vector<Panel> panels;
  const int64_t blocks = cols / 32;
  for (InputRows* rows : inputs) {
    const auto count = static_cast<int64_t>(rows->quantized.size());
    if (count < panels_->from) continue;
    for (int64_t first = 0; first < count; first += kPanelColumns) {
      panels.push_back({.rows = rows->quantized.data() + first,
                        .count = static_cast<int>(std::min<int64_t>(kPanelColumns, count - first)),
                        .to = nullptr});
    }
  }
  if (panels.empty()) return;
  std::byte* buffer =
      panel_scratch_.Get(static_cast<int64_t>(panels.size()) * ColumnPanelBytes(cols));
  auto* next = reinterpret_cast<ColumnBlock*>(buffer);
  for (Panel& panel : panels) {
    panel.to = next;
    next += blocks;
  }
  size_t taken = 0;
  for (InputRows* rows : inputs) {
    if (std::ssize(rows->quantized) < panels_->from) continue;
    rows->panels = panels[taken].to;
    taken += static_cast<size_t>(PanelsOf(std::ssize(rows->quantized)));
  }
  ForRows(static_cast<int64_t>(panels.size()), kPanelColumns * cols, [&](int64_t i) {
    const Panel& panel = panels[static_cast<size_t>(i)];
    PackColumns(panel.rows, panel.count, cols, panel.to);
  });
}

void Multiplier::AddWork(const WeightView& weight, const ProductInputs& inputs,
                         std::vector<ProductWork>* work) const {
  const Chunks chunks(weight, pool_.size());
  for (int64_t first = 0; first < chunks.groups; first += chunks.per_chunk) {
    work->push_back({.weight = weight,
                     .inputs = inputs,
                     .first_group = first,
                     .last_group = std::min(first + chunks.per_chunk, chunks.groups)});
  }
}

void Multiplier::Run(const std::vector<ProductWork>& work) {
  pool_.ParallelFor(static_cast<int64_t>(work.size()),
                    [&](int64_t i) { Multiply(work[static_cast<size_t>(i)]); });
}

void Multiplier::Multiply(const ProductWork& work) const {
  if (work.inputs.rows->panels != nullptr && panels_->unpack(work.weight.format) != nullptr) {
    return MultiplyPanels(work);
  }
  const auto columns = static_cast<int64_t>(work.inputs.out->size());
  for (int64_t first = 0; first < columns; first += kTileColumns) {
    const int n = static_cast<int>(std::min<int64_t>(kTileColumns, columns - first));
    for (int64_t group = work.first_group; group < work.last_group; ++group) {
      MultiplyGroup(work, group, first, n);
    }
  }
}

// Weights are unpacked once for all columns.
void Multiplier::MultiplyPanels(const ProductWork& work) const {
  thread_local Scratch scratch;
  const Format format = work.weight.format;
  const int64_t cols = work.weight.cols;
  const BlockRule rule = panels_->rule(format);
  const PanelKernels::Unpack unpack = panels_->unpack(format);
  const PanelKernels::Multiply multiply = panels_->multiply(rule);
  const int64_t panel_bytes = cols / 32 * PanelBlockBytes(rule);
  const int64_t together = std::max<int64_t>(1, kWeightPanelBytes / panel_bytes);
  std::byte* panels = scratch.Get(together * panel_bytes);
  const auto columns = static_cast<int64_t>(work.inputs.out->size());
  for (int64_t first = work.first_group; first < work.last_group; first += together) {
    const int64_t last = std::min(first + together, work.last_group);
    for (int64_t group = first; group < last; ++group) {
      unpack(WholeGroup(work.weight, group), cols, panels_->bias,
             panels + (group - first) * panel_bytes);
    }
    const ColumnBlock* column_panel = work.inputs.rows->panels;
    for (int64_t c = 0; c < columns; c += kPanelColumns, column_panel += cols / 32) {
      const int count = static_cast<int>(std::min<int64_t>(kPanelColumns, columns - c));
      for (int64_t group = first; group < last; ++group) {
        const OutTile tile(work, group, c, count);
        multiply(panels + (group - first) * panel_bytes, column_panel, cols, count, tile.out());
        tile.Finish();
      }
    }
  }
}

void Multiplier::MultiplyGroup(const ProductWork& work, int64_t group, int64_t first_column,
                               int columns) const {
  const OutTile tile(work, group, first_column, columns);
  if (HasTile(work.weight.format)) {
    MultiplyTile(work, WholeGroup(work.weight, group), first_column, columns, tile.out());
  } else {
    MultiplyRows(work, group, first_column, columns, tile.out());
  }
  tile.Finish();
}

bool Multiplier::HasTile(Format format) const {
  return kernels_.tile_q8(format) != nullptr || kernels_.tile_f32(format) != nullptr;
}

void Multiplier::MultiplyTile(const ProductWork& work, const std::byte* group, int64_t first_column,
                              int columns, float* const* out) const {
  const Format format = work.weight.format;
  const int64_t cols = work.weight.cols;
  const InputRows& rows = *work.inputs.rows;
  switch (Spec(format).activation) {
    case Activation::kF32:
      return kernels_.tile_f32(format)(group, cols, rows.floats.data() + first_column, columns,
                                       out);
    case Activation::kQ8:
      return kernels_.tile_q8(format)(group, cols, rows.quantized.data() + first_column, columns,
                                      out);
  }
}

}  // namespace sluice
