// The compact form of a trace: counts as varints, experts in one or two bytes, weights in planes of
// bytes (the upper bytes of floats are alike), all of it in one zstd frame. docs/trace-format.md.
#include <fmt/format.h>
#include <zstd.h>

#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "base/write_file.h"
#include "routing/trace_builder.h"
#include "routing/trace_meta.h"
#include "routing/trace_reader.h"
#include "routing/trace_writers.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "floats are written as they lie");

constexpr std::string_view kMagic = "sluicetr";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 12;
constexpr int kCompressionLevel = 9;
// More than any trace needs; who claims more is lying.
constexpr uint64_t kMaxBytes = uint64_t{1} << 32;

constexpr uint64_t kHasWeights = 1;
constexpr uint64_t kHasTokens = 2;
constexpr uint64_t kFlags = kHasWeights | kHasTokens;

// Signed to unsigned, small to small.
uint64_t Zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
int64_t Unzigzag(uint64_t value) { return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1)); }

// Wraps instead of overflowing.
int64_t Difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

class Packer {
 public:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(0x80U | (value & 0x7FU));
    bytes_ += static_cast<char>(value);
  }
  template <typename T>
  void Raw(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void Text(const std::string& text) {
    Varint(text.size());
    bytes_ += text;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// All first bytes, then all second bytes, ...
void PackPlanes(std::span<const float> floats, Packer* out) {
  for (int plane = 0; plane < 4; ++plane) {
    for (const float value : floats) {
      out->Raw(static_cast<uint8_t>(std::bit_cast<uint32_t>(value) >> (8 * plane)));
    }
  }
}

void PackSteps(const Trace& trace, Packer* out) {
  out->Varint(trace.steps.size());
  for (const TraceStep& step : trace.steps) {
    out->Varint(static_cast<uint64_t>(step.tokens) * 2 + (step.readings >= 0 ? 1 : 0));
    if (step.readings >= 0) out->Raw(trace.readings[static_cast<size_t>(step.readings)]);
  }
}

// Conversations follow from tokens; without tokens they are listed.
void PackTokens(const Trace& trace, Packer* out) {
  if (trace.tokens.empty()) {
    out->Varint(trace.conversations.size());
    uint64_t last = 0;
    for (const uint64_t step : trace.conversations) out->Varint(step - std::exchange(last, step));
    return;
  }
  TracedToken last;
  for (const TraceStep& step : trace.steps) {
    const uint64_t first = trace.calls[step.first_call].first_row;
    for (uint64_t row = first; row < first + static_cast<uint64_t>(step.tokens); ++row) {
      const TracedToken& token = trace.tokens[row];
      out->Varint(Zigzag(Difference(token.request, last.request)));
      out->Varint(Zigzag(Difference(token.position, last.position)));
      last = token;
    }
  }
}

void PackGates(const Trace& trace, Packer* out) {
  out->Varint(trace.gates.size());
  uint64_t last = 0;
  for (uint64_t c = 0; c < trace.calls.size(); ++c) {
    if (trace.calls[c].gate < 0) continue;
    const TraceGate& gate = trace.gates[static_cast<size_t>(trace.calls[c].gate)];
    out->Varint(c - std::exchange(last, c));
    out->Varint(static_cast<uint64_t>(gate.layer));
    out->Varint(gate.experts.size());
    for (const Likely& likely : gate.experts) {
      out->Varint(static_cast<uint64_t>(likely.expert));
      out->Raw(likely.probability);
    }
  }
}

// Reads the unpacked bytes front to back. After a failure everything is 0.
class Unpacker {
 public:
  explicit Unpacker(std::span<const char> bytes) : bytes_(bytes) {}

  bool failed() const { return failed_; }
  size_t left() const { return bytes_.size(); }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = Raw<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return failed_ ? 0 : value;
    }
    failed_ = true;
    return 0;
  }
  template <typename T>
  T Raw() {
    T value{};
    const std::span<const char> from = Bytes(sizeof(T));
    if (!from.empty()) std::memcpy(&value, from.data(), sizeof(T));
    return value;
  }
  // Empty if there are not as many.
  std::span<const char> Bytes(uint64_t count) {
    if (failed_ || count > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const std::span<const char> taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  // A number of things of which each takes at least one byte.
  uint64_t Count() {
    const uint64_t count = Varint();
    if (count > left()) failed_ = true;
    return failed_ ? 0 : count;
  }

 private:
  std::span<const char> bytes_;
  bool failed_ = false;
};

struct PackedGate {
  uint64_t call = 0;
  TraceGate gate;
};

// Everything in front of the rows.
struct Preface {
  std::vector<int32_t> step_tokens;
  std::vector<std::optional<ClockReadings>> readings;
  std::vector<TracedToken> tokens;  // of every step
  std::vector<uint64_t> conversations;
  std::vector<PackedGate> gates;
  uint64_t rows = 0;  // per layer
};

Status Damaged() { return CorruptError("the trace is damaged: its parts contradict each other"); }

Status UnpackSteps(Unpacker* in, Preface* preface) {
  for (uint64_t n = in->Count(); n > 0; --n) {
    const uint64_t word = in->Varint();
    if (in->failed() || word / 2 < 1 || word / 2 > std::numeric_limits<int32_t>::max()) {
      return Damaged();
    }
    preface->step_tokens.push_back(static_cast<int32_t>(word / 2));
    preface->rows += word / 2;
    preface->readings.emplace_back();
    if (word % 2 == 1) preface->readings.back() = in->Raw<ClockReadings>();
  }
  // Each row will take a byte at least: nothing is allocated that the file does not hold.
  return in->failed() || preface->rows > in->left() ? Damaged() : Status();
}

Status UnpackTokens(bool tokens, Unpacker* in, Preface* preface) {
  if (!tokens) {
    uint64_t step = 0;
    for (uint64_t n = in->Count(); n > 0; --n) {
      step += in->Varint();
      preface->conversations.push_back(step);
    }
    return in->failed() ? Damaged() : Status();
  }
  TracedToken last;
  for (uint64_t row = 0; row < preface->rows && !in->failed(); ++row) {
    // Unsigned, so that damaged differences wrap instead of overflowing.
    last.request = static_cast<int64_t>(static_cast<uint64_t>(last.request) +
                                        static_cast<uint64_t>(Unzigzag(in->Varint())));
    last.position = static_cast<int64_t>(static_cast<uint64_t>(last.position) +
                                         static_cast<uint64_t>(Unzigzag(in->Varint())));
    preface->tokens.push_back(last);
  }
  return in->failed() ? Damaged() : Status();
}

Status UnpackGates(Unpacker* in, Preface* preface) {
  uint64_t call = 0;
  for (uint64_t n = in->Count(); n > 0; --n) {
    call += in->Varint();
    PackedGate gate{.call = call};
    gate.gate.layer = static_cast<int32_t>(std::min<uint64_t>(in->Varint(), INT32_MAX));
    for (uint64_t experts = in->Count(); experts > 0; --experts) {
      const auto expert = static_cast<int32_t>(std::min<uint64_t>(in->Varint(), INT32_MAX));
      gate.gate.experts.push_back({.expert = expert, .probability = in->Raw<float>()});
    }
    if (in->failed()) return Damaged();
    preface->gates.push_back(std::move(gate));
  }
  return in->failed() ? Damaged() : Status();
}

// The rows of all steps, by way of the checks that every trace passes.
class RowReader {
 public:
  RowReader(Preface preface, TraceBuilder* builder)
      : preface_(std::move(preface)), builder_(*builder) {}

  Status Read(bool has_weights, Unpacker* in) {
    const TraceMeta& meta = builder_.meta();
    const uint64_t per_row = static_cast<uint64_t>(meta.layers * meta.top_k);
    wide_ = meta.experts > 256;
    // Two factors below 2^32 each: the product fits.
    const uint64_t choices = preface_.rows * per_row;
    ids_ = in->Bytes(choices * (wide_ ? 2 : 1));
    if (has_weights) weights_ = in->Bytes(choices * sizeof(float));
    if (in->failed() || in->left() != 0) return Damaged();
    has_weights_ = has_weights;
    choices_ = choices;
    for (size_t s = 0; s < preface_.step_tokens.size(); ++s) SLUICE_TRY(Step(s));
    return gate_ == preface_.gates.size() ? Status() : Damaged();
  }

 private:
  Status Step(size_t s) {
    if (conversation_ < preface_.conversations.size() &&
        preface_.conversations[conversation_] == s) {
      SLUICE_TRY(builder_.EndStep());
      builder_.BeginConversation();
      ++conversation_;
    }
    const std::optional<ClockReadings>& readings = preface_.readings[s];
    SLUICE_TRY(builder_.BeginStep(preface_.step_tokens[s], readings ? &*readings : nullptr));
    for (int32_t layer = 0; layer < builder_.meta().layers; ++layer) {
      if (gate_ < preface_.gates.size() && preface_.gates[gate_].call == call_) {
        SLUICE_TRY(builder_.AddGate(layer, std::move(preface_.gates[gate_++].gate)));
      }
      ++call_;
      for (int32_t t = 0; t < preface_.step_tokens[s]; ++t) SLUICE_TRY(Row(layer, t));
    }
    token_ += static_cast<size_t>(preface_.step_tokens[s]);
    return {};
  }

  Status Row(int32_t layer, int32_t t) {
    const auto top_k = static_cast<size_t>(builder_.meta().top_k);
    experts_.clear();
    row_weights_.clear();
    for (size_t i = choice_; i < choice_ + top_k; ++i) {
      experts_.push_back(wide_ ? Byte(ids_, 2 * i) | Byte(ids_, 2 * i + 1) << 8 : Byte(ids_, i));
      if (!has_weights_) continue;
      uint32_t bits = 0;
      for (size_t plane = 0; plane < 4; ++plane) {
        bits |= static_cast<uint32_t>(Byte(weights_, plane * choices_ + i)) << (8 * plane);
      }
      row_weights_.push_back(std::bit_cast<float>(bits));
    }
    choice_ += top_k;
    const TracedToken* token =
        preface_.tokens.empty() ? nullptr : &preface_.tokens[token_ + static_cast<size_t>(t)];
    return builder_.AddRow(layer, experts_, row_weights_, token);
  }

  static int32_t Byte(std::span<const char> bytes, size_t i) {
    return static_cast<uint8_t>(bytes[i]);
  }

  Preface preface_;
  TraceBuilder& builder_;
  std::span<const char> ids_;
  std::span<const char> weights_;
  bool wide_ = false;
  bool has_weights_ = false;
  uint64_t choices_ = 0;
  size_t choice_ = 0;
  size_t token_ = 0;
  size_t conversation_ = 0;
  size_t gate_ = 0;
  uint64_t call_ = 0;
  std::vector<int32_t> experts_;
  std::vector<float> row_weights_;
};

// The frame's content. Memory grows with what is really there.
Result<std::string> Unpack(std::string_view packed) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  std::string bytes;
  std::string chunk(1U << 20, '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  while (true) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    const size_t rest = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(rest) != 0) {
      return CorruptError(fmt::format("the trace is damaged: {}", ZSTD_getErrorName(rest)));
    }
    bytes.append(chunk, 0, out.pos);
    if (bytes.size() > kMaxBytes) return CorruptError("the trace unpacks to more than 4 GiB");
    if (rest == 0) break;
    if (in.pos == in.size && out.pos < out.size) return CorruptError("the trace is cut off");
  }
  if (in.pos != in.size) return CorruptError("the trace goes on after its end");
  return bytes;
}

Result<Trace> ReadPacked(const File& file) {
  SLUICE_TRY_ASSIGN(const std::string whole, file.ReadAll(kMaxBytes));
  if (whole.size() < kHeaderBytes || !std::string_view(whole).starts_with(kMagic)) {
    return CorruptError("this is no packed trace");
  }
  uint32_t version = 0;
  std::memcpy(&version, whole.data() + kMagic.size(), sizeof(version));
  if (version != kVersion) {
    return UnsupportedError(
        fmt::format("a packed trace of version {}; this sluice reads {}", version, kVersion));
  }
  SLUICE_TRY_ASSIGN(const std::string bytes, Unpack(std::string_view(whole).substr(kHeaderBytes)));
  Unpacker in(bytes);
  const std::span<const char> line = in.Bytes(in.Varint());
  if (in.failed()) return Damaged();
  int64_t meta_version = 0;
  SLUICE_TRY_ASSIGN(TraceMeta meta, ParseTraceMeta({line.data(), line.size()}, &meta_version));
  SLUICE_TRY_ASSIGN(TraceBuilder builder, TraceBuilder::Create(std::move(meta)));
  const uint64_t flags = in.Varint();
  if ((flags & ~kFlags) != 0) return Damaged();
  Preface preface;
  SLUICE_TRY(UnpackSteps(&in, &preface));
  SLUICE_TRY(UnpackTokens((flags & kHasTokens) != 0, &in, &preface));
  SLUICE_TRY(UnpackGates(&in, &preface));
  SLUICE_TRY(RowReader(std::move(preface), &builder).Read((flags & kHasWeights) != 0, &in));
  return std::move(builder).Finish();
}

bool Recognizes(std::string_view head) { return head.starts_with(kMagic); }

Result<Trace> Read(const File& file) {
  Result<Trace> trace = ReadPacked(file);
  return trace.ok() ? std::move(trace) : trace.status().Annotate(file.name());
}

}  // namespace

Status WritePackedTrace(const Trace& trace, const std::string& path) {
  Packer out;
  out.Text(FormatTraceMeta(trace.meta));
  out.Varint((trace.weights.empty() ? 0 : kHasWeights) | (trace.tokens.empty() ? 0 : kHasTokens));
  PackSteps(trace, &out);
  PackTokens(trace, &out);
  PackGates(trace, &out);
  for (const int32_t expert : trace.experts) {
    if (trace.meta.experts > 256) {
      out.Raw(static_cast<uint16_t>(expert));
    } else {
      out.Raw(static_cast<uint8_t>(expert));
    }
  }
  PackPlanes(trace.weights, &out);
  if (out.bytes().size() > kMaxBytes) {
    return UnsupportedError(path + ": the trace is longer than 4 GiB; cut it");
  }
  std::string packed(kMagic);
  packed.append(reinterpret_cast<const char*>(&kVersion), sizeof(kVersion));
  packed.resize(kHeaderBytes + ZSTD_compressBound(out.bytes().size()));
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                   ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  const size_t bytes =
      ZSTD_compress2(context.get(), packed.data() + kHeaderBytes, packed.size() - kHeaderBytes,
                     out.bytes().data(), out.bytes().size());
  if (ZSTD_isError(bytes) != 0) {
    return InternalError(fmt::format("{}: zstd: {}", path, ZSTD_getErrorName(bytes)));
  }
  packed.resize(kHeaderBytes + bytes);
  return WriteWholeFile(path, packed);
}

TraceFormat PackedTraceFormat();
TraceFormat PackedTraceFormat() {
  return {.name = "packed",
          .summary = "compact binary, as sluice trace convert writes it",
          .recognizes = Recognizes,
          .read = Read};
}

}  // namespace sluice
