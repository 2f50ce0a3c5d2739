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
#include "device/cpu/multiplier.h"
#include "device/cpu/row_group.h"
#include "device/device.h"
#include "device/kv_codec.h"
#include "device/router.h"

namespace sluice {
namespace {

// Query heads of one KV head that attention takes at a time: they share the decoding of its rows.
// More would leave threads idle where a model has one KV head (latent attention).
constexpr int64_t kAttendHeads = 8;
// Query rows (heads of tokens) that attention takes at a time at most; kAttendHeads or more.
constexpr int64_t kAttendRows = 64;
// Expert assignments that are computed together at most, unless one expert alone has more.
constexpr int64_t kFfnAssignments = 256;

class CpuOps final : public Ops {
 public:
  // `panels` may be null.
  CpuOps(const Kernels* kernels, const PanelKernels* panels, ThreadPool* pool)
      : kernels_(*kernels), pool_(*pool), multiplier_(kernels, panels, pool) {}

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
    multiplier_.ForRows(rows, cols, [&](int64_t r) {
      kernels_.rms_norm(x + r * cols, cols, weight, epsilon, out + r * cols);
    });
  }

  void LayerNorm(const float* x, int64_t rows, int64_t cols, const float* weight, float epsilon,
                 float* out) override {
    multiplier_.ForRows(rows, cols, [&](int64_t r) {
      kernels_.layer_norm(x + r * cols, cols, weight, epsilon, out + r * cols);
    });
  }

  void MatMul(const float* x, int64_t tokens, std::span<const Product> products) override {
    const int64_t cols = products[0].weight.cols;
    InputRows rows;
    for (int64_t t = 0; t < tokens; ++t) rows.floats.push_back(x + t * cols);
    for (const Product& product : products) {
      multiplier_.Prepare(Spec(product.weight.format).activation, cols, &input_scratch_, &rows);
    }
    InputRows* const all[] = {&rows};
    multiplier_.LayOutPanels(all, cols);
    std::vector<ProductWork> work;
    std::vector<std::vector<float*>> outs(products.size());
    for (size_t p = 0; p < products.size(); ++p) {
      const Product& product = products[p];
      for (int64_t t = 0; t < tokens; ++t) outs[p].push_back(product.out + t * product.weight.rows);
      multiplier_.AddWork(product.weight, {.rows = &rows, .bias = product.bias, .out = &outs[p]},
                          &work);
    }
    multiplier_.Run(work);
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
    multiplier_.Prepare(Spec(weight.format).activation, weight.cols, &input_scratch_, &all);
    struct Head {
      InputRows rows;
      std::vector<float*> out;
    };
    std::vector<Head> heads(static_cast<size_t>(product.heads));
    std::vector<ProductWork> work;
    for (int64_t h = 0; h < product.heads; ++h, weight.bytes += head_bytes) {
      Head& head = heads[static_cast<size_t>(h)];
      for (int64_t row = h; row < rows; row += product.heads) {
        const auto r = static_cast<size_t>(row);
        head.rows.floats.push_back(all.floats[r]);
        if (!all.quantized.empty()) head.rows.quantized.push_back(all.quantized[r]);
        head.out.push_back(product.out + row * product.out_stride);
      }
      multiplier_.AddWork(weight, {.rows = &head.rows, .out = &head.out}, &work);
    }
    multiplier_.Run(work);
  }

  void CopyRows(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out,
                int64_t out_stride) override {
    multiplier_.ForRows(
        rows, cols, [&](int64_t r) { std::copy_n(x + r * x_stride, cols, out + r * out_stride); });
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
    multiplier_.ForRows(tokens, heads * head_dim, [&](int64_t t) {
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
    multiplier_.ForRows(
        static_cast<int64_t>(places.size()), layout.kv_heads * layout.key_dim, [&](int64_t t) {
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
        multiplier_.Prepare(Spec(weight.format).activation, hidden_, &expert_input_scratch_,
                            &expert_input_);
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
    multiplier_.ForRows(routing.tokens, hidden_size * routing.top_k, [&](int64_t t) {
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
    multiplier_.ForRows(tokens, cols, [&](int64_t t) {
      kernels_.add_scaled(Sigmoid(gate[t]), y + t * cols, cols, x + t * cols);
    });
  }

 private:
  struct CallRows {  // of one expert's call
    InputRows x, h;
    std::vector<float*> gate, up, out;
  };

  // gate[i] = activation(gate[i], up[i]) for every row, and the same quantized if `down` wants it.
  void ActivateRows(std::span<const ExpertCall> calls, const std::vector<CallRows>& rows,
                    FfnActivation activation, int64_t ff) {
    struct Middle {
      float* gate;
      const float* up;
      Q8Row quantized;
      const WeightView* down;
    };
    std::vector<Middle> middles;
    for (size_t c = 0; c < calls.size(); ++c) {
      for (size_t i = 0; i < rows[c].gate.size(); ++i) {
        middles.push_back({.gate = rows[c].gate[i],
                           .up = rows[c].up[i],
                           .quantized = rows[c].h.quantized[i],
                           .down = &calls[c].weights.down});
      }
    }
    multiplier_.ForRows(static_cast<int64_t>(middles.size()), ff, [&](int64_t i) {
      const Middle& m = middles[static_cast<size_t>(i)];
      kernels_.activate(activation, m.gate, m.up, m.down->cols);
      if (Spec(m.down->format).activation == Activation::kQ8) {
        kernels_.quantize_q8(m.gate, m.down->cols, m.quantized);
      }
    });
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

    std::vector<CallRows> rows(calls.size());
    std::vector<ProductWork> work;
    int64_t row = 0;
    for (size_t c = 0; c < calls.size(); ++c) {
      CallRows& r = rows[c];
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
      multiplier_.AddWork(calls[c].weights.gate,
                          {.rows = &r.x, .bias = biases.gate, .out = &r.gate}, &work);
      multiplier_.AddWork(calls[c].weights.up, {.rows = &r.x, .bias = biases.up, .out = &r.up},
                          &work);
    }
    std::vector<InputRows*> inputs;
    inputs.reserve(rows.size());
    for (CallRows& r : rows) inputs.push_back(&r.x);
    multiplier_.LayOutPanels(inputs, hidden_);
    multiplier_.Run(work);

    ActivateRows(calls, rows, activation, ff);

    inputs.clear();
    for (size_t c = 0; c < calls.size(); ++c) {
      if (Spec(calls[c].weights.down.format).activation == Activation::kQ8) {
        inputs.push_back(&rows[c].h);
      }
    }
    multiplier_.LayOutPanels(inputs, ff);
    work.clear();
    for (size_t c = 0; c < calls.size(); ++c) {
      multiplier_.AddWork(calls[c].weights.down,
                          {.rows = &rows[c].h, .bias = calls[c].biases.down, .out = &rows[c].out},
                          &work);
    }
    multiplier_.Run(work);
  }

  const Kernels& kernels_;
  ThreadPool& pool_;
  Multiplier multiplier_;
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
    // Column panels: of all tokens, or of experts that have `from` columns at least.
    const int64_t most_cols = (std::max({step.cols, step.ff, step.dense_ff}) + 31) / 32 * 32;
    const int64_t panels = panels_ == nullptr
                               ? 0
                               : MostPanels(std::max(step.tokens, together), panels_->from) *
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
