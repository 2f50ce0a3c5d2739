// The CPU device: divides the operations over a thread pool and calls the kernels of an instruction
// set. How work is divided never shows in the results (kernels.inl says why).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "device/cpu/input_rows.h"
#include "device/cpu/kernels.h"
#include "device/cpu/row_group.h"
#include "device/device.h"
#include "device/kv_codec.h"
#include "device/router.h"

namespace sluice {
namespace {

// Weights that a thread takes at a time: enough to stream from DRAM at full rate, little enough to
// stay in L2 while all columns pass over them.
constexpr int64_t kChunkBytes = 512 << 10;
// Elements under which a loop is not worth handing out.
constexpr int64_t kParallelElements = 8192;
// Query heads of one KV head that attention takes at a time: they share the decoding of its rows.
// More would leave threads idle where a model has one KV head (latent attention).
constexpr int64_t kAttendHeads = 8;
// Query rows (heads of tokens) that attention takes at a time at most; kAttendHeads or more.
constexpr int64_t kAttendRows = 64;
// Columns from which on a product goes through panels (panel.h), and the bytes of weight panels
// that meet a column panel at a time: both stay in L2.
constexpr size_t kPanelsFrom = 7;
constexpr int64_t kWeightPanelBytes = 256 << 10;
// Expert assignments that are computed together at most, unless one expert alone has more.
constexpr int64_t kFfnAssignments = 256;

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

// One multiplication: what goes in, and where rows of results start.
struct Inputs {
  const InputRows* rows;
  const float* bias = nullptr;  // of all rows of the matrix
  const std::vector<float*>* out;
};

class CpuOps final : public Ops {
 public:
  // `panels` may be null.
  CpuOps(const Kernels* kernels, const PanelKernels* panels, ThreadPool* pool)
      : kernels_(*kernels), panels_(panels), pool_(*pool) {}

  void Embed(const WeightView& table, std::span<const int32_t> tokens, float* out) override {
    const FormatSpec& spec = Spec(table.format);
    const int64_t row_bytes = spec.row_bytes(table.cols);
    std::vector<std::byte> row(static_cast<size_t>(row_bytes));
    for (size_t t = 0; t < tokens.size(); ++t) {
      const int64_t first = tokens[t] / kGroupRows * kGroupRows;
      UnpackRow(spec, std::min(kGroupRows, table.rows - first), table.cols, tokens[t] - first,
                table.bytes + first * row_bytes, row.data());
      spec.decode(row.data(), table.cols / spec.block_elements,
                  out + static_cast<int64_t>(t) * table.cols);
    }
  }

  void RmsNorm(const float* x, int64_t rows, int64_t cols, const float* weight, float epsilon,
               float* out) override {
    ForRows(rows, cols, [&](int64_t r) {
      kernels_.rms_norm(x + r * cols, cols, weight, epsilon, out + r * cols);
    });
  }

  void LayerNorm(const float* x, int64_t rows, int64_t cols, const float* weight, float epsilon,
                 float* out) override {
    ForRows(rows, cols, [&](int64_t r) {
      kernels_.layer_norm(x + r * cols, cols, weight, epsilon, out + r * cols);
    });
  }

  void MatMul(const float* x, int64_t tokens, std::span<const Product> products) override {
    const int64_t cols = products[0].weight.cols;
    InputRows rows;
    for (int64_t t = 0; t < tokens; ++t) rows.floats.push_back(x + t * cols);
    for (const Product& product : products) {
      Prepare(Spec(product.weight.format).activation, cols, &input_scratch_, &rows);
    }
    InputRows* const all[] = {&rows};
    LayOutPanels(all, cols);
    std::vector<Work> work;
    std::vector<std::vector<float*>> outs(products.size());
    for (size_t p = 0; p < products.size(); ++p) {
      const Product& product = products[p];
      for (int64_t t = 0; t < tokens; ++t) outs[p].push_back(product.out + t * product.weight.rows);
      AddWork(product.weight, {.rows = &rows, .bias = product.bias, .out = &outs[p]}, &work);
    }
    RunWork(work);
  }

  void MatMulHeads(const HeadProduct& product, int64_t tokens) override {
    WeightView weight = product.weight;
    weight.rows /= product.heads;
    SLUICE_CHECK(weight.rows % kGroupRows == 0);  // the loader refuses other models
    const int64_t head_bytes = weight.rows * Spec(weight.format).row_bytes(weight.cols);
    const int64_t rows = tokens * product.heads;
    InputRows all;
    for (int64_t row = 0; row < rows; ++row)
      all.floats.push_back(product.x + row * product.x_stride);
    Prepare(Spec(weight.format).activation, weight.cols, &input_scratch_, &all);
    struct Head {
      InputRows rows;
      std::vector<float*> out;
    };
    std::vector<Head> heads(static_cast<size_t>(product.heads));
    std::vector<Work> work;
    for (int64_t h = 0; h < product.heads; ++h, weight.bytes += head_bytes) {
      Head& head = heads[static_cast<size_t>(h)];
      for (int64_t row = h; row < rows; row += product.heads) {
        const auto r = static_cast<size_t>(row);
        head.rows.floats.push_back(all.floats[r]);
        if (!all.quantized.empty()) head.rows.quantized.push_back(all.quantized[r]);
        head.out.push_back(product.out + row * product.out_stride);
      }
      AddWork(weight, {.rows = &head.rows, .out = &head.out}, &work);
    }
    RunWork(work);
  }

  void CopyRows(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out,
                int64_t out_stride) override {
    ForRows(rows, cols,
            [&](int64_t r) { std::copy_n(x + r * x_stride, cols, out + r * out_stride); });
  }

  void Clamp(float* x, int64_t count, float limit) override {
    // As comparisons, so that NaN stays.
    for (int64_t i = 0; i < count; ++i) {
      const float low = x[i] < -limit ? -limit : x[i];
      x[i] = low > limit ? limit : low;
    }
  }

  void Rope(float* x, int64_t tokens, int64_t heads, int64_t head_dim,
            const RopeAngles& angles) override {
    const int64_t half = angles.dims / 2;
    const int64_t first_step = angles.style == RopeStyle::kHalves ? 1 : 2;
    const int64_t second = angles.style == RopeStyle::kHalves ? half : 1;
    ForRows(tokens, heads * head_dim, [&](int64_t t) {
      const float* c = angles.cosine + t * half;
      const float* s = angles.sine + t * half;
      for (int64_t h = 0; h < heads; ++h) {
        float* head = x + (t * heads + h) * head_dim + angles.first;
        for (int64_t i = 0; i < half; ++i) {
          const float a = head[i * first_step];
          const float b = head[i * first_step + second];
          head[i * first_step] = a * c[i] - b * s[i];
          head[i * first_step + second] = b * c[i] + a * s[i];
        }
      }
    });
  }

  void AppendKv(const KvLayout& layout, std::span<const KvPlace> places, const float* k,
                const float* v) override {
    ForRows(static_cast<int64_t>(places.size()), layout.kv_heads * layout.key_dim, [&](int64_t t) {
      const KvPlace& place = places[static_cast<size_t>(t)];
      std::byte* page = place.pages[place.position / layout.page_tokens];
      for (int64_t h = 0; h < layout.kv_heads; ++h) {
        const int64_t row = t * layout.kv_heads + h;
        EncodeKvRow(layout.format, k + row * layout.key_dim, layout.key_dim,
                    page + KvRowOffset(layout, KvPart::kKey, h, place.position));
        if (layout.values == KvValues::kInKeys) continue;
        EncodeKvRow(layout.format, v + row * layout.value_dim, layout.value_dim,
                    page + KvRowOffset(layout, KvPart::kValue, h, place.position));
      }
    });
  }

  void Attend(const KvLayout& layout, std::span<const KvPlace> places, const float* q,
              const AttentionRule& rule, float* out) override {
    // The loader refuses other models.
    SLUICE_CHECK(layout.key_dim % 16 == 0 && layout.value_dim % 16 == 0);
    const int64_t group = rule.heads / layout.kv_heads;
    const int64_t taken = std::min(group, kAttendHeads);
    const int64_t parts = (group + taken - 1) / taken;
    // Tokens that follow each other in a sequence are taken together.
    struct Tile {
      int64_t first;
      int64_t tokens;
    };
    std::vector<Tile> tiles;
    const auto tokens = static_cast<int64_t>(places.size());
    for (int64_t t = 0; t < tokens; ++t) {
      const auto at = static_cast<size_t>(t);
      if (!tiles.empty() && (tiles.back().tokens + 1) * taken <= kAttendRows &&
          places[at].pages == places[at - 1].pages &&
          places[at].position == places[at - 1].position + 1) {
        ++tiles.back().tokens;
      } else {
        tiles.push_back({.first = t, .tokens = 1});
      }
    }
    const int64_t scratch_floats =
        AttendScratchFloats(kAttendRows, std::max(layout.key_dim, layout.value_dim));
    const auto items = static_cast<int64_t>(tiles.size()) * layout.kv_heads * parts;
    pool_.ParallelFor(items, [&](int64_t i) {
      thread_local Scratch scratch;
      const int64_t item = items - 1 - i;  // later tokens have more to do: they come first
      const Tile& tile = tiles[static_cast<size_t>(item / (layout.kv_heads * parts))];
      const int64_t kv_head = item / parts % layout.kv_heads;
      const int64_t first = item % parts * taken;
      const int64_t head = kv_head * group + first;
      const int64_t row = tile.first * rule.heads + head;
      const AttendCall call{.places = &places[static_cast<size_t>(tile.first)],
                            .tokens = tile.tokens,
                            .kv_head = kv_head,
                            .heads = std::min(taken, group - first),
                            .q = q + row * layout.key_dim,
                            .q_stride = rule.heads * layout.key_dim,
                            .out_stride = rule.heads * layout.value_dim,
                            .scale = rule.scale,
                            .window = rule.window,
                            .sinks = rule.sinks != nullptr ? rule.sinks + head : nullptr,
                            .scratch = scratch.Floats(scratch_floats)};
      kernels_.attend(layout, call, out + row * layout.value_dim);
    });
  }

  void Route(const RouterOutput& router, int64_t top_k, const RouterRule& rule,
             Routing* routing) override {
    RouteOnHost(router, top_k, rule, routing);
  }

  void StageExpertInput(const float* x, int64_t tokens, int64_t hidden) override {
    hidden_ = hidden;
    expert_input_ = {};
    for (int64_t t = 0; t < tokens; ++t) expert_input_.floats.push_back(x + t * hidden);
  }

  void ExpertFfn(std::span<const ExpertCall> calls, int64_t top_k, FfnActivation activation,
                 float* out) override {
    for (const ExpertCall& call : calls) {
      for (const WeightView& weight : {call.weights.gate, call.weights.up}) {
        Prepare(Spec(weight.format).activation, hidden_, &expert_input_scratch_, &expert_input_);
      }
    }
    // As many calls together as the buffers hold; one expert alone always fits.
    while (!calls.empty()) {
      size_t taken = 1;
      auto assignments = static_cast<int64_t>(calls[0].assignments.size());
      while (taken < calls.size() &&
             assignments + static_cast<int64_t>(calls[taken].assignments.size()) <=
                 kFfnAssignments) {
        assignments += static_cast<int64_t>(calls[taken].assignments.size());
        ++taken;
      }
      FfnTogether(calls.subspan(0, taken), assignments, top_k, activation, out);
      calls = calls.subspan(taken);
    }
  }

  void Combine(const Routing& routing, const float* expert_out, int64_t hidden_size,
               float* hidden) override {
    ForRows(routing.tokens, hidden_size * routing.top_k, [&](int64_t t) {
      for (int64_t rank = 0; rank < routing.top_k; ++rank) {
        const int64_t a = t * routing.top_k + rank;
        kernels_.add_scaled(routing.weights[static_cast<size_t>(a)], expert_out + a * hidden_size,
                            hidden_size, hidden + t * hidden_size);
      }
    });
  }

  void Add(const float* y, int64_t count, float* x) override {
    kernels_.add_scaled(1.0F, y, count, x);
  }

  void AddGated(const float* y, int64_t tokens, int64_t cols, const float* gate,
                float* x) override {
    ForRows(tokens, cols, [&](int64_t t) {
      kernels_.add_scaled(Sigmoid(gate[t]), y + t * cols, cols, x + t * cols);
    });
  }

 private:
  // A chunk of groups of one matrix.
  struct Work {
    WeightView weight;
    Inputs inputs;
    int64_t first_group;
    int64_t last_group;
  };

  template <typename Body>
  void ForRows(int64_t rows, int64_t elements_per_row, const Body& body) {
    if (rows * elements_per_row < kParallelElements) {
      for (int64_t r = 0; r < rows; ++r) body(r);
    } else {
      pool_.ParallelFor(rows, body);
    }
  }

  // Brings rows of floats into the form that `activation` names, unless they have it already.
  void Prepare(Activation activation, int64_t cols, Scratch* scratch, InputRows* rows) {
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

  void AddWork(const WeightView& weight, const Inputs& inputs, std::vector<Work>* work) const {
    const Chunks chunks(weight, pool_.size());
    for (int64_t first = 0; first < chunks.groups; first += chunks.per_chunk) {
      work->push_back({.weight = weight,
                       .inputs = inputs,
                       .first_group = first,
                       .last_group = std::min(first + chunks.per_chunk, chunks.groups)});
    }
  }

  void RunWork(const std::vector<Work>& work) {
    pool_.ParallelFor(static_cast<int64_t>(work.size()),
                      [&](int64_t i) { Multiply(work[static_cast<size_t>(i)]); });
  }

  // Gives rows that are many enough column panels, which last until the next call.
  void LayOutPanels(std::span<InputRows* const> inputs, int64_t cols) {
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
      if (rows->quantized.size() < kPanelsFrom) continue;
      for (int64_t first = 0; first < count; first += kPanelColumns) {
        panels.push_back(
            {.rows = rows->quantized.data() + first,
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
      if (rows->quantized.size() < kPanelsFrom) continue;
      rows->panels = panels[taken].to;
      taken += (rows->quantized.size() + kPanelColumns - 1) / kPanelColumns;
    }
    ForRows(static_cast<int64_t>(panels.size()), kPanelColumns * cols, [&](int64_t i) {
      const Panel& panel = panels[static_cast<size_t>(i)];
      PackColumns(panel.rows, panel.count, cols, panel.to);
    });
  }

  void Multiply(const Work& work) const {
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

  // Where a group's results for some columns go: the rows of the output, or, where the matrix ends
  // within the group, memory of this object until Finish.
  class OutTile {
   public:
    OutTile(const Work& work, int64_t group, int64_t first_column, int columns)
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
    const Work& work_;
    int64_t first_row_;
    int64_t rows_;
    int64_t first_column_;
    int columns_;
    float* out_[kPanelColumns];
    float spare_[kPanelColumns][kGroupRows];
  };

  // Weights are unpacked once for all columns.
  void MultiplyPanels(const Work& work) const {
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

  void MultiplyGroup(const Work& work, int64_t group, int64_t first_column, int columns) const {
    const OutTile tile(work, group, first_column, columns);
    if (HasTile(work.weight.format)) {
      MultiplyTile(work, WholeGroup(work.weight, group), first_column, columns, tile.out());
    } else {
      MultiplyRows(work, group, first_column, columns, tile.out());
    }
    tile.Finish();
  }

  bool HasTile(Format format) const {
    return kernels_.tile_q8(format) != nullptr || kernels_.tile_f32(format) != nullptr;
  }

  void MultiplyTile(const Work& work, const std::byte* group, int64_t first_column, int columns,
                    float* const* out) const {
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

  // Formats without a kernel of their own: row by row, as the format's header defines.
  static void MultiplyRows(const Work& work, int64_t group, int64_t first_column, int columns,
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

  static float Dot(const FormatSpec& spec, const std::byte* row, int64_t cols,
                   const InputRows& rows, size_t column) {
    const int64_t blocks = cols / spec.block_elements;
    return spec.activation == Activation::kQ8 ? spec.dot_q8(row, blocks, rows.quantized[column])
                                              : spec.dot_f32(row, blocks, rows.floats[column]);
  }

  // A group of 16 rows; the incomplete one at the end of a matrix in memory of this thread.
  static const std::byte* WholeGroup(const WeightView& weight, int64_t group) {
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

  // Three loops: all gate and up rows of all calls; the activation, quantized; all down rows.
  void FfnTogether(std::span<const ExpertCall> calls, int64_t assignments, int64_t top_k,
                   FfnActivation activation, float* out) {
    int64_t ff = 0;
    for (const ExpertCall& call : calls) ff = std::max(ff, call.weights.gate.rows);
    float* gate = ffn_scratch_.Floats(2 * assignments * ff);
    float* up = gate + assignments * ff;
    const int64_t row_bytes = QuantizedRowBytes(ff);
    std::byte* middle = ffn_middle_scratch_.Get(assignments * row_bytes);

    struct Rows {  // of one call
      InputRows x, h;
      std::vector<float*> gate, up, out;
    };
    std::vector<Rows> rows(calls.size());
    std::vector<Work> work;
    int64_t row = 0;
    for (size_t c = 0; c < calls.size(); ++c) {
      Rows& r = rows[c];
      const WeightView& down = calls[c].weights.down;
      for (const int32_t assignment : calls[c].assignments) {
        const auto token = static_cast<size_t>(assignment / top_k);
        r.x.floats.push_back(expert_input_.floats[token]);
        if (!expert_input_.quantized.empty()) {
          r.x.quantized.push_back(expert_input_.quantized[token]);
        }
        r.gate.push_back(gate + row * ff);
        r.up.push_back(up + row * ff);
        r.h.floats.push_back(gate + row * ff);
        r.h.quantized.push_back(Q8RowAt(middle + row * row_bytes, down.cols));
        r.out.push_back(out + assignment * hidden_);
        ++row;
      }
      const ExpertBiases& biases = calls[c].biases;
      AddWork(calls[c].weights.gate, {.rows = &r.x, .bias = biases.gate, .out = &r.gate}, &work);
      AddWork(calls[c].weights.up, {.rows = &r.x, .bias = biases.up, .out = &r.up}, &work);
    }
    std::vector<InputRows*> inputs;
    for (Rows& r : rows) inputs.push_back(&r.x);
    LayOutPanels(inputs, hidden_);
    RunWork(work);

    struct Middle {
      float* gate;
      const float* up;
      Q8Row quantized;
      const WeightView* down;
    };
    std::vector<Middle> middles;
    row = 0;
    for (size_t c = 0; c < calls.size(); ++c) {
      for (size_t i = 0; i < rows[c].gate.size(); ++i, ++row) {
        middles.push_back({.gate = rows[c].gate[i],
                           .up = rows[c].up[i],
                           .quantized = rows[c].h.quantized[i],
                           .down = &calls[c].weights.down});
      }
    }
    ForRows(static_cast<int64_t>(middles.size()), ff, [&](int64_t i) {
      const Middle& m = middles[static_cast<size_t>(i)];
      kernels_.activate(activation, m.gate, m.up, m.down->cols);
      if (Spec(m.down->format).activation == Activation::kQ8) {
        kernels_.quantize_q8(m.gate, m.down->cols, m.quantized);
      }
    });

    inputs.clear();
    for (size_t c = 0; c < calls.size(); ++c) {
      if (Spec(calls[c].weights.down.format).activation == Activation::kQ8) {
        inputs.push_back(&rows[c].h);
      }
    }
    LayOutPanels(inputs, ff);
    work.clear();
    for (size_t c = 0; c < calls.size(); ++c) {
      AddWork(calls[c].weights.down,
              {.rows = &rows[c].h, .bias = calls[c].biases.down, .out = &rows[c].out}, &work);
    }
    RunWork(work);
  }

  const Kernels& kernels_;
  const PanelKernels* panels_;
  ThreadPool& pool_;
  Scratch panel_scratch_;         // the columns of a product
  Scratch input_scratch_;         // MatMul's input, quantized
  Scratch expert_input_scratch_;  // the staged one
  Scratch ffn_scratch_;
  Scratch ffn_middle_scratch_;
  int64_t hidden_ = 0;
  InputRows expert_input_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice(std::string name, const Kernels* kernels, const PanelKernels* panels, ThreadPool* pool)
      : name_(std::move(name)),
        panels_(panels),
        threads_(pool->size()),
        ops_(kernels, panels, pool) {}

  std::string name() const override { return name_; }
  Ops& ops() override { return ops_; }

  void Pack(Format format, int64_t rows, int64_t cols, const std::byte* from,
            std::byte* to) const override {
    const FormatSpec& spec = Spec(format);
    const int64_t row_bytes = spec.row_bytes(cols);
    thread_local std::vector<std::byte> group;
    if (group.size() < static_cast<size_t>(kGroupRows * row_bytes)) {
      group.resize(static_cast<size_t>(kGroupRows * row_bytes));
    }
    for (int64_t row = 0; row < rows; row += kGroupRows) {
      const int64_t n = std::min(kGroupRows, rows - row);
      std::memcpy(group.data(), from + row * row_bytes, static_cast<size_t>(n * row_bytes));
      PackGroup(spec, n, cols, group.data(), to + row * row_bytes);
    }
  }

  int64_t ScratchBytes(const StepShape& step) const override {
    const auto ffn = [&](int64_t assignments, int64_t ff) {
      return assignments * (2 * ff * 4 + QuantizedRowBytes(ff) + 512);
    };
    const int64_t together =
        std::min(step.tokens * step.top_k, std::max(step.tokens, kFfnAssignments));
    // Two quantized inputs, the middle of the experts, tables of row pointers.
    const int64_t input = QuantizedRowBytes(step.cols);
    const int64_t shared = 2 * step.tokens * input +
                           std::max(ffn(together, step.ff), ffn(step.tokens, step.dense_ff)) +
                           step.tokens * (128 + 64 * step.heads_per_kv) + (1 << 20);
    // Column panels: of all tokens, or of experts that have kPanelsFrom columns at least.
    const int64_t most_cols = (std::max({step.cols, step.ff, step.dense_ff}) + 31) / 32 * 32;
    const int64_t panels = panels_ == nullptr ? 0
                                              : std::max(step.tokens, together) / kPanelsFrom *
                                                    ColumnPanelBytes(most_cols);
    // A group to pack and one to widen, of float rows at worst; weight panels; attention's blocks.
    const int64_t per_thread =
        2 * kGroupRows * 4 * most_cols +
        (panels == 0 ? 0
                     : std::max(kWeightPanelBytes,
                                most_cols / 32 * PanelBlockBytes(BlockRule::kHalvesMin))) +
        4 * AttendScratchFloats(kAttendRows, step.head_dim);
    return shared + panels + threads_ * per_thread;
  }

 private:
  const std::string name_;
  const PanelKernels* panels_;
  const int64_t threads_;
  CpuOps ops_;
};

}  // namespace

std::unique_ptr<Device> NewAmxDevice(ThreadPool* pool) {
  if (Avx512Kernels() == nullptr || AmxPanels() == nullptr) return nullptr;
  return std::make_unique<CpuDevice>("amx", Avx512Kernels(), AmxPanels(), pool);
}
std::unique_ptr<Device> NewAvx512Device(ThreadPool* pool) {
  if (Avx512Kernels() == nullptr) return nullptr;
  return std::make_unique<CpuDevice>("avx512", Avx512Kernels(), Avx512Panels(), pool);
}
std::unique_ptr<Device> NewAvx2Device(ThreadPool* pool) {
  if (Avx2Kernels() == nullptr) return nullptr;
  return std::make_unique<CpuDevice>("avx2", Avx2Kernels(), nullptr, pool);
}

}  // namespace sluice
