// The specification: each operation as its definition reads, one number at a time, weights in the
// file's own layout. Slow on purpose; conformance_test.cc holds every other device to it.
//
// Quantized formats define their product with activations rounded to int8
// (tensor/q8_activation.h). The device `exact` leaves that rounding out: it computes with the
// numbers that the file holds, and is what logits of such files are compared with Transformers on.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "device/device.h"
#include "device/kv_codec.h"
#include "device/math.h"
#include "device/router.h"

namespace sluice {
namespace {

// What becomes of activations before they meet quantized weights.
enum class Activations { kAsFormatSays, kExact };

void MultiplyQuantized(const WeightView& weight, const float* x, float* out) {
  const FormatSpec& spec = Spec(weight.format);
  std::vector<std::byte> buffer(static_cast<size_t>(Q8RowBytes(weight.cols)));
  const Q8Row quantized = Q8RowAt(buffer.data(), weight.cols);
  QuantizeQ8(x, weight.cols, quantized);
  for (int64_t row = 0; row < weight.rows; ++row) {
    out[row] = spec.dot_q8(weight.bytes + row * spec.row_bytes(weight.cols),
                           weight.cols / spec.block_elements, quantized);
  }
}

// The numbers that the file holds times the activations, in float.
void MultiplyExactly(const WeightView& weight, const float* x, float* out) {
  const FormatSpec& spec = Spec(weight.format);
  std::vector<float> decoded(static_cast<size_t>(weight.cols));
  for (int64_t row = 0; row < weight.rows; ++row) {
    spec.decode(weight.bytes + row * spec.row_bytes(weight.cols), weight.cols / spec.block_elements,
                decoded.data());
    out[row] = 0;
    for (int64_t k = 0; k < weight.cols; ++k) {
      out[row] = std::fma(decoded[static_cast<size_t>(k)], x[k], out[row]);
    }
  }
}

class ReferenceOps final : public Ops {
 public:
  explicit ReferenceOps(Activations activations) : activations_(activations) {}

  void Embed(const WeightView& table, std::span<const int32_t> tokens, float* out) override {
    const FormatSpec& spec = Spec(table.format);
    for (size_t t = 0; t < tokens.size(); ++t) {
      spec.decode(table.bytes + tokens[t] * spec.row_bytes(table.cols),
                  table.cols / spec.block_elements, out + static_cast<int64_t>(t) * table.cols);
    }
  }

  void RmsNorm(const float* x, int64_t rows, int64_t cols, const float* weight, float epsilon,
               float* out) override {
    for (int64_t r = 0; r < rows; ++r) {
      float squares = 0;
      for (int64_t i = 0; i < cols; ++i) squares += x[r * cols + i] * x[r * cols + i];
      const float scale = 1.0F / std::sqrt(squares / static_cast<float>(cols) + epsilon);
      for (int64_t i = 0; i < cols; ++i) out[r * cols + i] = x[r * cols + i] * scale * weight[i];
    }
  }

  void LayerNorm(const float* x, int64_t rows, int64_t cols, const float* weight, float epsilon,
                 float* out) override {
    for (int64_t r = 0; r < rows; ++r, x += cols, out += cols) {
      float sum = 0;
      for (int64_t i = 0; i < cols; ++i) sum += x[i];
      const float mean = sum / static_cast<float>(cols);
      float squares = 0;
      for (int64_t i = 0; i < cols; ++i) squares += (x[i] - mean) * (x[i] - mean);
      const float scale = 1.0F / std::sqrt(squares / static_cast<float>(cols) + epsilon);
      for (int64_t i = 0; i < cols; ++i) out[i] = (x[i] - mean) * scale * weight[i];
    }
  }

  void MatMul(const float* x, int64_t tokens, std::span<const Product> products) override {
    for (const Product& product : products) {
      for (int64_t t = 0; t < tokens; ++t) {
        MultiplyToken(product.weight, product.bias, x + t * product.weight.cols,
                      product.out + t * product.weight.rows);
      }
    }
  }

  void MatMulHeads(const HeadProduct& product, int64_t tokens) override {
    WeightView head = product.weight;
    head.rows /= product.heads;
    const int64_t head_bytes = head.rows * Spec(head.format).row_bytes(head.cols);
    for (int64_t h = 0; h < product.heads; ++h, head.bytes += head_bytes) {
      for (int64_t t = 0; t < tokens; ++t) {
        const int64_t row = t * product.heads + h;
        MultiplyToken(head, nullptr, product.x + row * product.x_stride,
                      product.out + row * product.out_stride);
      }
    }
  }

  void CopyRows(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out,
                int64_t out_stride) override {
    for (int64_t r = 0; r < rows; ++r) std::copy_n(x + r * x_stride, cols, out + r * out_stride);
  }

  void Clamp(float* x, int64_t count, float limit) override {
    for (int64_t i = 0; i < count; ++i) {
      if (x[i] > limit) x[i] = limit;
      if (x[i] < -limit) x[i] = -limit;
    }
  }

  void Rope(float* x, int64_t tokens, int64_t heads, int64_t head_dim,
            const RopeAngles& angles) override {
    const int64_t half = angles.dims / 2;
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        float* head = x + (t * heads + h) * head_dim + angles.first;
        for (int64_t i = 0; i < half; ++i) {
          float& a = angles.style == RopeStyle::kHalves ? head[i] : head[2 * i];
          float& b = angles.style == RopeStyle::kHalves ? head[i + half] : head[2 * i + 1];
          const float c = angles.cosine[t * half + i];
          const float s = angles.sine[t * half + i];
          const float rotated_a = a * c - b * s;
          b = b * c + a * s;
          a = rotated_a;
        }
      }
    }
  }

  void AppendKv(const KvLayout& layout, std::span<const KvPlace> places, const float* k,
                const float* v) override {
    for (size_t t = 0; t < places.size(); ++t) {
      std::byte* page = places[t].pages[places[t].position / layout.page_tokens];
      for (int64_t h = 0; h < layout.kv_heads; ++h) {
        const int64_t row = static_cast<int64_t>(t) * layout.kv_heads + h;
        EncodeKvRow(layout.format, k + row * layout.key_dim, layout.key_dim,
                    page + KvRowOffset(layout, KvPart::kKey, h, places[t].position));
        if (layout.values == KvValues::kInKeys) continue;
        EncodeKvRow(layout.format, v + row * layout.value_dim, layout.value_dim,
                    page + KvRowOffset(layout, KvPart::kValue, h, places[t].position));
      }
    }
  }

  void Attend(const KvLayout& layout, std::span<const KvPlace> places, const float* q,
              const AttentionRule& rule, float* out) override {
    for (size_t t = 0; t < places.size(); ++t) {
      for (int64_t h = 0; h < rule.heads; ++h) {
        const int64_t row = static_cast<int64_t>(t) * rule.heads + h;
        AttendHead(layout, places[t], h, q + row * layout.key_dim, rule,
                   out + row * layout.value_dim);
      }
    }
  }

  void Route(const RouterOutput& router, int64_t top_k, const RouterRule& rule,
             Routing* routing) override {
    RouteOnHost(router, top_k, rule, routing);
  }

  void StageExpertInput(const float* x, int64_t /*tokens*/, int64_t hidden) override {
    expert_input_ = x;
    hidden_ = hidden;
  }

  void ExpertFfn(std::span<const ExpertCall> calls, int64_t top_k, FfnActivation activation,
                 float* out) override {
    for (const ExpertCall& call : calls) {
      const auto ff = static_cast<size_t>(call.weights.gate.rows);
      std::vector<float> gate(ff);
      std::vector<float> up(ff);
      for (const int32_t assignment : call.assignments) {
        const float* x = expert_input_ + assignment / top_k * hidden_;
        MultiplyToken(call.weights.gate, call.biases.gate, x, gate.data());
        MultiplyToken(call.weights.up, call.biases.up, x, up.data());
        for (size_t i = 0; i < ff; ++i) {
          gate[i] = activation == FfnActivation::kSwiGlu ? Silu(gate[i]) * up[i]
                                                         : ClampedSwiGlu(gate[i], up[i]);
        }
        MultiplyToken(call.weights.down, call.biases.down, gate.data(), out + assignment * hidden_);
      }
    }
  }

  void Combine(const Routing& routing, const float* expert_out, int64_t hidden_size,
               float* hidden) override {
    for (int64_t a = 0; a < routing.tokens * routing.top_k; ++a) {
      for (int64_t i = 0; i < hidden_size; ++i) {
        hidden[a / routing.top_k * hidden_size + i] +=
            routing.weights[static_cast<size_t>(a)] * expert_out[a * hidden_size + i];
      }
    }
  }

  void Add(const float* y, int64_t count, float* x) override {
    for (int64_t i = 0; i < count; ++i) x[i] += y[i];
  }

  void AddGated(const float* y, int64_t tokens, int64_t cols, const float* gate,
                float* x) override {
    for (int64_t i = 0; i < tokens * cols; ++i) x[i] += Sigmoid(gate[i / cols]) * y[i];
  }

 private:
  void MultiplyToken(const WeightView& weight, const float* bias, const float* x,
                     float* out) const {
    Multiply(weight, x, out);
    if (bias == nullptr) return;
    for (int64_t row = 0; row < weight.rows; ++row) out[row] += bias[row];
  }

  void Multiply(const WeightView& weight, const float* x, float* out) const {
    const Activation activation =
        activations_ == Activations::kExact ? Activation::kF32 : Spec(weight.format).activation;
    switch (activation) {
      case Activation::kF32:
        return MultiplyExactly(weight, x, out);
      case Activation::kQ8:
        return MultiplyQuantized(weight, x, out);
    }
  }

  static void AttendHead(const KvLayout& layout, const KvPlace& place, int64_t head, const float* q,
                         const AttentionRule& rule, float* out) {
    const int64_t kv_head = head / (rule.heads / layout.kv_heads);
    std::vector<float> row(static_cast<size_t>(std::max(layout.key_dim, layout.value_dim)));
    const auto decode = [&](KvPart part, int64_t position) {
      DecodeKvRow(
          layout.format,
          place.pages[position / layout.page_tokens] + KvRowOffset(layout, part, kv_head, position),
          part == KvPart::kKey ? layout.key_dim : layout.value_dim, row.data());
    };
    const int64_t first = FirstVisible(place.position, rule.window);
    std::vector<float> scores;
    for (int64_t p = first; p <= place.position; ++p) {
      decode(KvPart::kKey, p);
      float dot = 0;
      for (int64_t i = 0; i < layout.key_dim; ++i) dot += q[i] * row[static_cast<size_t>(i)];
      scores.push_back(dot * rule.scale);
    }
    float largest = *std::ranges::max_element(scores);
    float total = 0;
    if (rule.sinks != nullptr) {
      largest = std::max(largest, rule.sinks[head]);
      total = Exp(rule.sinks[head] - largest);
    }
    for (float& score : scores) total += score = Exp(score - largest);
    std::fill(out, out + layout.value_dim, 0.0F);
    for (int64_t p = first; p <= place.position; ++p) {
      decode(KvPart::kValue, p);
      const float weight = scores[static_cast<size_t>(p - first)] / total;
      for (int64_t i = 0; i < layout.value_dim; ++i) out[i] += weight * row[static_cast<size_t>(i)];
    }
  }

  const Activations activations_;
  const float* expert_input_ = nullptr;
  int64_t hidden_ = 0;
};

class ReferenceDevice final : public Device {
 public:
  explicit ReferenceDevice(Activations activations)
      : activations_(activations), ops_(activations) {}

  std::string name() const override {
    return activations_ == Activations::kExact ? "exact" : "reference";
  }
  Ops& ops() override { return ops_; }
  void Pack(Format format, int64_t rows, int64_t cols, const std::byte* from,
            std::byte* to) const override {
    std::memmove(to, from, static_cast<size_t>(rows * Spec(format).row_bytes(cols)));
  }
  int64_t ScratchBytes(const StepShape& step) const override {
    const int64_t ff = std::max(step.ff, step.dense_ff);
    const int64_t widest = std::max(step.cols, ff);
    return Q8RowBytes((widest + 31) / 32 * 32) + 4 * widest + 2 * ff * 4 + (1 << 20);
  }

 private:
  const Activations activations_;
  ReferenceOps ops_;
};

}  // namespace

std::unique_ptr<Device> NewReferenceDevice(ThreadPool* /*pool*/) {
  return std::make_unique<ReferenceDevice>(Activations::kAsFormatSays);
}

std::unique_ptr<Device> NewExactDevice(ThreadPool* /*pool*/) {
  return std::make_unique<ReferenceDevice>(Activations::kExact);
}

}  // namespace sluice
