// NumPy's .npz archives: an array `experts` [layer, token, rank] or [token, layer, rank], perhaps
// `probs` of the same shape, and perhaps a string `meta` with JSON.
//
// Tokens are taken one by one, a step each: such traces do not say what was computed together.
#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "routing/json_fields.h"
#include "routing/npy.h"
#include "routing/trace_builder.h"
#include "routing/trace_reader.h"

namespace sluice {
namespace {

using nlohmann::json;

bool Recognizes(std::string_view head) { return head.substr(0, 4) == "PK\x03\x04"; }

// The best that deflate can do is 1032 to 1. Who claims more is lying, and would have us allocate.
constexpr uint64_t kMaxInflation = 1040;

struct Array {
  NpyHeader header;
  std::vector<std::byte> items;
};

class Archive {
 public:
  static Result<Archive> Open(const std::string& path) {
    int code = 0;
    Archive archive;
    archive.zip_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
    if (archive.zip_ == nullptr) {
      zip_error_t error;
      zip_error_init_with_code(&error, code);
      std::string text = zip_error_strerror(&error);
      zip_error_fini(&error);
      return CorruptError(fmt::format("this is no .npz archive: {}", text));
    }
    return archive;
  }

  bool Has(const std::string& entry) const {
    return zip_name_locate(zip_.get(), entry.c_str(), 0) >= 0;
  }

  // The whole array. Errors name the entry.
  Result<Array> Read(const std::string& entry) const {
    Result<Array> array = ReadArray(entry);
    return array.ok() ? std::move(array) : array.status().Annotate(entry);
  }

 private:
  struct CloseZip {
    void operator()(zip_t* zip) const { zip_discard(zip); }
  };
  struct CloseFile {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
  };

  Result<Array> ReadArray(const std::string& entry) const {
    zip_stat_t stat;
    if (zip_stat(zip_.get(), entry.c_str(), 0, &stat) != 0) {
      return CorruptError("the archive lacks it");
    }
    if (stat.size < kNpyPreambleBytes || stat.comp_size > stat.size + (1U << 20) ||
        stat.size > kMaxInflation * stat.comp_size + kMaxInflation) {
      return CorruptError(
          fmt::format("{} bytes that unpack to {} cannot be", stat.comp_size, stat.size));
    }
    const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(zip_.get(), stat.index, 0));
    if (file == nullptr) {
      return UnsupportedError(fmt::format("cannot be unpacked: {}", zip_strerror(zip_.get())));
    }
    std::vector<std::byte> header(kNpyPreambleBytes);
    SLUICE_TRY(Fill(file.get(), header));
    SLUICE_TRY_ASSIGN(const uint64_t header_bytes, NpyHeaderBytes(header));
    if (header_bytes < kNpyPreambleBytes || header_bytes > stat.size) {
      return CorruptError("the .npy header is cut off");
    }
    header.resize(header_bytes);
    SLUICE_TRY(Fill(file.get(), std::span(header).subspan(kNpyPreambleBytes)));
    Array array;
    SLUICE_TRY_ASSIGN(array.header, ParseNpyHeader(header));
    const uint64_t bytes = stat.size - header_bytes;
    if (array.header.items() > bytes || array.header.bytes() != bytes) {
      return CorruptError(fmt::format("{} items of {} bytes, but {} bytes of items",
                                      array.header.items(), array.header.item_bytes, bytes));
    }
    array.items.resize(bytes);
    SLUICE_TRY(Fill(file.get(), array.items));
    // The end brings the check of the sum.
    std::byte none{};
    if (zip_fread(file.get(), &none, 1) != 0) {
      return CorruptError(fmt::format("damaged: {}", zip_file_strerror(file.get())));
    }
    return array;
  }

  static Status Fill(zip_file_t* file, std::span<std::byte> out) {
    while (!out.empty()) {
      const zip_int64_t n = zip_fread(file, out.data(), out.size());
      if (n <= 0) return CorruptError(fmt::format("cut off: {}", zip_file_strerror(file)));
      out = out.subspan(static_cast<size_t>(n));
    }
    return {};
  }

  std::unique_ptr<zip_t, CloseZip> zip_;
};

struct Conversation {
  int64_t first = 0;  // token
  int64_t tokens = 0;
};

// What `meta` says; -1 where it says nothing.
struct NpzMeta {
  std::string model;
  int64_t layers = -1;
  int64_t experts = -1;
  int64_t top_k = -1;
  std::vector<Conversation> conversations;
};

Status ReadCount(const json& object, std::initializer_list<const char*> keys, int64_t* out) {
  for (const char* key : keys) {
    if (!object.contains(key)) continue;
    SLUICE_TRY_ASSIGN(*out, IntegerField(object, key));
    return {};
  }
  return {};
}

Status ReadConversations(const json& list, std::vector<Conversation>* out) {
  int64_t next = 0;
  for (const json& entry : list) {
    if (!entry.is_object()) return CorruptError("a conversation that is no object");
    Conversation conversation{.first = next};
    SLUICE_TRY(ReadCount(entry, {"offset"}, &conversation.first));
    SLUICE_TRY_ASSIGN(conversation.tokens, IntegerField(entry, "tokens"));
    constexpr int64_t kMaxTokens = int64_t{1} << 40;
    if (conversation.first != next || conversation.tokens < 1 || conversation.tokens > kMaxTokens) {
      return CorruptError(fmt::format("conversation {} has {} tokens from {} on, where {} is next",
                                      out->size(), conversation.tokens, conversation.first, next));
    }
    next += conversation.tokens;
    out->push_back(conversation);
  }
  return {};
}

// A list is one of conversations; an object may hold one.
Result<NpzMeta> ReadMeta(const Archive& archive) {
  NpzMeta meta;
  if (!archive.Has("meta.npy")) return meta;
  SLUICE_TRY_ASSIGN(const Array array, archive.Read("meta.npy"));
  if ((array.header.kind != NpyKind::kUcs4 && array.header.kind != NpyKind::kBytes) ||
      array.header.items() != 1) {
    return UnsupportedError("meta.npy: not one string of JSON");
  }
  SLUICE_TRY_ASSIGN(const std::string text, NpyText(array.header, array.items));
  const auto read = [&]() -> Status {
    SLUICE_TRY_ASSIGN(const json object, ParseJson(text));
    if (object.is_array()) return ReadConversations(object, &meta.conversations);
    if (!object.is_object()) return CorruptError("neither an object nor a list");
    meta.model = TextFieldOrEmpty(object, "model");
    SLUICE_TRY(ReadCount(object, {"n_moe_layers", "num_layers", "layers"}, &meta.layers));
    SLUICE_TRY(ReadCount(object, {"num_experts", "experts"}, &meta.experts));
    SLUICE_TRY(ReadCount(object, {"top_k"}, &meta.top_k));
    if (!object.contains("conversations")) return {};
    return ReadConversations(object["conversations"], &meta.conversations);
  };
  SLUICE_TRY(read().Annotate("meta.npy"));
  return meta;
}

struct Shape {
  int64_t tokens = 0;
  int64_t layers = 0;
  int64_t top_k = 0;
  bool layer_first = false;

  size_t Row(int64_t token, int64_t layer) const {
    return static_cast<size_t>((layer_first ? layer * tokens + token : token * layers + layer) *
                               top_k);
  }
};

// Which axis is which: as `meta` says, by its layers or its conversations; else the shorter one is
// the layers, of which no model has many.
Result<Shape> ShapeOf(const NpyHeader& header, const NpzMeta& meta) {
  if (header.kind != NpyKind::kSigned && header.kind != NpyKind::kUnsigned) {
    return UnsupportedError(fmt::format("experts of type '{}'; integers are read", header.type));
  }
  if (header.shape.size() != 3) {
    return UnsupportedError(fmt::format(
        "an array of {} dimensions; [layer, token, rank] or [token, layer, rank] is read",
        header.shape.size()));
  }
  const auto first = static_cast<int64_t>(header.shape[0]);
  const auto second = static_cast<int64_t>(header.shape[1]);
  const auto top_k = static_cast<int64_t>(header.shape[2]);
  int64_t told = -1;
  if (!meta.conversations.empty()) {
    told = meta.conversations.back().first + meta.conversations.back().tokens;
    if (told != first && told != second) {
      return CorruptError(
          fmt::format("shape [{}, {}, {}], but the conversations of meta.npy have {} tokens", first,
                      second, top_k, told));
    }
  }
  bool layer_first = first <= second;
  if (told >= 0) layer_first = told == second && told != first;
  if (meta.layers >= 0) {
    if (meta.layers != first && meta.layers != second) {
      return CorruptError(fmt::format("shape [{}, {}, {}], but meta.npy has {} layers", first,
                                      second, top_k, meta.layers));
    }
    if (first != second) layer_first = meta.layers == first;
  }
  if (meta.top_k >= 0 && meta.top_k != top_k) {
    return CorruptError(fmt::format("shape [{}, {}, {}], but meta.npy has top_k {}", first, second,
                                    top_k, meta.top_k));
  }
  return Shape{.tokens = layer_first ? second : first,
               .layers = layer_first ? first : second,
               .top_k = top_k,
               .layer_first = layer_first};
}

// Rows token by token.
Status AddRows(const Shape& shape, const NpzMeta& meta, std::span<const int32_t> experts,
               std::span<const float> weights, TraceBuilder* builder) {
  const auto top_k = static_cast<size_t>(shape.top_k);
  builder->Reserve(static_cast<uint64_t>(shape.tokens * shape.layers));
  size_t conversation = 0;
  for (int64_t token = 0; token < shape.tokens; ++token) {
    if (conversation < meta.conversations.size() &&
        meta.conversations[conversation].first == token) {
      builder->BeginConversation();
      ++conversation;
    }
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      const size_t row = shape.Row(token, layer);
      const Status status =
          builder->AddRow(static_cast<int32_t>(layer), experts.subspan(row, top_k),
                          weights.empty() ? weights : weights.subspan(row, top_k), nullptr);
      if (!status.ok()) return status.Annotate(fmt::format("token {}", token));
    }
    SLUICE_TRY(builder->EndStep());
  }
  return {};
}

Result<Trace> ReadArchive(const File& file) {
  SLUICE_TRY_ASSIGN(const Archive archive, Archive::Open(file.name()));
  SLUICE_TRY_ASSIGN(NpzMeta npz_meta, ReadMeta(archive));
  if (!archive.Has("experts.npy")) return UnsupportedError("the archive has no array 'experts'");
  SLUICE_TRY_ASSIGN(Array array, archive.Read("experts.npy"));
  const Result<Shape> shape = ShapeOf(array.header, npz_meta);
  if (!shape.ok()) return shape.status().Annotate("experts.npy");
  std::vector<int32_t> experts;
  NpyIntegers(array.header, array.items, &experts);
  std::vector<float> weights;
  if (archive.Has("probs.npy")) {
    SLUICE_TRY_ASSIGN(const Array probs, archive.Read("probs.npy"));
    if (probs.header.kind != NpyKind::kFloat || probs.header.shape != array.header.shape) {
      return CorruptError("probs.npy: not floats in the shape of 'experts'");
    }
    NpyFloats(probs.header, probs.items, &weights);
  }
  TraceMeta meta{.model = npz_meta.model,
                 .layers = shape->layers,
                 .experts = npz_meta.experts,
                 .top_k = shape->top_k};
  if (meta.experts < 0 && !experts.empty()) {
    meta.experts = *std::max_element(experts.begin(), experts.end()) + int64_t{1};
  }
  SLUICE_TRY_ASSIGN(TraceBuilder builder, TraceBuilder::Create(std::move(meta)));
  SLUICE_TRY(AddRows(*shape, npz_meta, experts, weights, &builder).Annotate("experts.npy"));
  return std::move(builder).Finish();
}

Result<Trace> Read(const File& file) {
  Result<Trace> trace = ReadArchive(file);
  return trace.ok() ? std::move(trace) : trace.status().Annotate(file.name());
}

}  // namespace

TraceFormat NpzTraceFormat();
TraceFormat NpzTraceFormat() {
  return {.name = "npz",
          .summary = "NumPy: experts [layer, token, rank] or [token, layer, rank], probs, meta",
          .recognizes = Recognizes,
          .read = Read};
}

}  // namespace sluice
