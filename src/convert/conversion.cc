#include "convert/conversion.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/byte_size.h"
#include "base/memory.h"
#include "checkpoint/packed_matrix.h"
#include "convert/model_keys.h"
#include "convert/tokenizer_keys.h"
#include "model/chat_template_source.h"
#include "model/vocabulary.h"

namespace sluice {
namespace {

// What code, stacks and small allocations may still take.
constexpr uint64_t kMarginBytes = 8U << 20;
// More rows at once make nothing faster.
constexpr uint64_t kMostBufferBytes = 64U << 20;

// Raised when any format's bytes change: what an older program began is not continued then.
constexpr int kEncoderVersion = 1;

std::string FolderName(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

// "path bytes time": a file that was not changed, under whatever name it is given.
std::string IdentityOf(const std::string& name) {
  struct stat status = {};
  if (stat(name.c_str(), &status) != 0) return name + "\n";  // in the program
  std::error_code failed;
  const std::filesystem::path path = std::filesystem::canonical(name, failed);
  return fmt::format("{} {} {}.{}\n", failed ? name : path.string(), status.st_size,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

// Tokens that config.json names and the tokenizer's own files do not: GGUF has one place for both.
Status AddConfiguredIds(const Metadata& config, Vocabulary* vocabulary) {
  const auto read = [&](const char* key, std::optional<TokenId>* id) -> Status {
    SLUICE_TRY_ASSIGN(const int64_t value, config.IntOr(key, -1, kMaxPieces, -1));
    const bool known = value >= 0 && value < std::ssize(vocabulary->pieces);
    if (!id->has_value() && known) *id = static_cast<TokenId>(value);
    return {};
  };
  SLUICE_TRY(read("bos_token_id", &vocabulary->special.bos));
  return read("pad_token_id", &vocabulary->special.pad);
}

void AddFileKeys(const FileType& file, KeyList* keys) {
  keys->Add("general.file_type", file.number);
  if (file.quantized()) keys->Add("general.quantization_version", uint32_t{2});
}

}  // namespace

Result<Conversion> Conversion::Plan(Model source, const ConversionOptions& options) {
  Conversion conversion(std::move(source), *options.file);
  const bool gguf = conversion.source_.checkpoint.kind == CheckpointKind::kGguf;
  SLUICE_TRY(gguf ? conversion.PlanGguf(options) : conversion.PlanDirectory(options));
  conversion.resident_bytes_ = ResidentBytes();
  return conversion;
}

Status Conversion::PlanDirectory(const ConversionOptions& options) {
  const Checkpoint& checkpoint = source_.checkpoint;
  SLUICE_TRY_ASSIGN(const Architecture* architecture, FindArchitecture(checkpoint));
  architecture_ = architecture->gguf_name;
  std::string name = options.name.empty() ? source_.spec.name : options.name;
  if (name.empty()) name = FolderName(checkpoint.path);
  keys_.Add("general.type", std::string("model"));
  keys_.Add("general.name", std::move(name));
  AddFileKeys(*file_, &keys_);
  AddModelKeys(*architecture, source_.spec, &keys_);
  // The keys are read as a reader of the file will: what they do not say would be lost.
  Metadata read = keys_.AsMetadata(checkpoint.path);
  read.Insert("general.architecture", architecture_);
  SLUICE_TRY_ASSIGN(const ModelSpec spec, architecture->from_gguf(read));
  SLUICE_TRY(CheckSameModel(source_.spec, spec).Annotate(checkpoint.path));
  SLUICE_TRY(PlanTokenizer(options));
  tensors_ = TensorsOfDirectory(source_, *architecture, *file_, spec.attention.rope.layout);
  for (const TargetTensor& tensor : tensors_) {
    for (const TensorExtent& part : tensor.parts) {
      if (part.packed.matrix == nullptr || part.order.kind == MatrixOrder::kRows) continue;
      return UnsupportedError(fmt::format(
          "{}: '{}' would have to be transposed, which {} weights cannot be: models with latent "
          "attention (DeepSeek-V2, -V3) are converted from unpacked weights (BF16)",
          checkpoint.path, part.packed.matrix->name, NameOf(part.packed.matrix->packing)));
    }
  }
  return {};
}

Status Conversion::PlanTokenizer(const ConversionOptions& options) {
  const Checkpoint& checkpoint = source_.checkpoint;
  if (source_.tokenizer == nullptr) {
    if (!options.pre_tokenizer.empty()) {
      return InvalidArgumentError(checkpoint.path + ": --pre: the model has no tokenizer");
    }
    keys_.Add("tokenizer.ggml.model", std::string("none"));
    return {};
  }
  SLUICE_TRY_ASSIGN(Vocabulary vocabulary, VocabularyOf(checkpoint));
  SLUICE_TRY(AddConfiguredIds(checkpoint.metadata, &vocabulary));
  SLUICE_TRY(AddTokenizerKeys(vocabulary, source_.spec.vocab, options.pre_tokenizer, &keys_)
                 .Annotate(checkpoint.path));
  Result<ChatTemplateSource> chat_template = ChatTemplateOf(checkpoint);
  if (!chat_template.ok()) return chat_template.status().Annotate(checkpoint.path);
  if (!chat_template->text.empty()) {
    keys_.Add("tokenizer.chat_template", std::move(chat_template->text));
  }
  return {};
}

Status Conversion::PlanGguf(const ConversionOptions& options) {
  const Checkpoint& checkpoint = source_.checkpoint;
  if (!options.pre_tokenizer.empty()) {
    return InvalidArgumentError(
        checkpoint.path + ": --pre is for directories; a GGUF file's tokenizer stays as it is");
  }
  SLUICE_TRY_ASSIGN(architecture_, checkpoint.metadata.String("general.architecture"));
  AddFileKeys(*file_, &keys_);
  if (!options.name.empty()) keys_.Add("general.name", options.name);
  // What the writer says itself, and what was true of the old file only.
  std::set<std::string, std::less<>> left_out = {
      "general.architecture", "general.alignment",
      "general.file_type",    "split.no",
      "split.count",          "general.quantization_version",
      "split.tensors.count"};
  if (!options.name.empty()) left_out.insert("general.name");
  SLUICE_TRY_ASSIGN(std::vector<EncodedKey> keys,
                    ReadEncodedKeys(checkpoint.tensors.files().front().get()));
  for (EncodedKey& key : keys) {
    if (!left_out.contains(key.name)) copied_keys_.push_back(std::move(key));
  }
  tensors_ = TensorsOfGguf(source_, *file_);
  return {};
}

uint64_t Conversion::target_bytes() const {
  uint64_t bytes = 0;
  for (const TargetTensor& tensor : tensors_) bytes += tensor.bytes();
  return bytes;
}

uint64_t Conversion::least_buffer_bytes() const {
  uint64_t most = 0;
  for (const TargetTensor& tensor : tensors_) {
    most = std::max(most, TensorWriter::LeastBufferBytes(tensor));
  }
  return most;
}

uint64_t Conversion::least_ram_budget() const {
  return resident_bytes_ + kMarginBytes + least_buffer_bytes();
}

Status Conversion::CheckBudget(uint64_t ram_budget) const {
  const uint64_t least = least_ram_budget();
  if (least <= ram_budget) return {};
  return ResourceExhaustedError(fmt::format(
      "a RAM budget of {} is too small to convert {}: the program and the model's headers take "
      "{}, and the largest piece that is converted at once {}. Raise --ram-budget to {}MiB",
      FormatByteSize(ram_budget), source_.checkpoint.path,
      FormatByteSize(least - least_buffer_bytes()), FormatByteSize(least_buffer_bytes()),
      (least >> 20) + 1));
}

// Everything that the bytes of the tensors follow from, beside the header. config.json says how
// packed weights are decoded.
std::string Conversion::Sources() const {
  std::string text = fmt::format("{}\n", kEncoderVersion);
  for (const auto& file : source_.checkpoint.tensors.files()) text += IdentityOf(file->name());
  if (source_.checkpoint.kind == CheckpointKind::kHuggingFace) {
    text += IdentityOf(source_.checkpoint.path + "/config.json");
  }
  return text;
}

Status Conversion::Write(const std::string& path, const WriteOptions& options,
                         ThreadPool* pool) const {
  // First of all: what an earlier call wrote must survive a budget that is too small.
  SLUICE_TRY(CheckBudget(options.ram_budget));
  SLUICE_TRY_ASSIGN(GgufWriter out, GgufWriter::Create(path, architecture_));
  for (const EncodedKey& key : copied_keys_) out.AddEncoded(key.name, key.type_and_value);
  keys_.WriteTo(&out);
  for (const TargetTensor& tensor : tensors_) {
    out.AddTensor(tensor.name, tensor.format, tensor.shape);
  }
  SLUICE_TRY_ASSIGN(const GgufWriter::Place place, out.BeginOrContinue(Sources()));
  if (options.notice && place.file_bytes > 0) {
    options.notice(
        fmt::format("{}.partial: continues at {}", path, FormatByteSize(place.file_bytes)));
  }
  if (options.notice && !place.anew_because.empty()) {
    options.notice(fmt::format("{}.partial: begins anew because {}", path, place.anew_because));
  }
  const uint64_t taken = ResidentBytes() + kMarginBytes;
  const uint64_t room = options.ram_budget > taken ? options.ram_budget - taken : 0;
  TensorWriter writer(std::max(least_buffer_bytes(), std::min(room, kMostBufferBytes)), pool, &out);
  SLUICE_TRY(WriteTensors(path, options, place, &writer));
  return out.Finish();
}

Status Conversion::WriteTensors(const std::string& path, const WriteOptions& options,
                                const GgufWriter::Place& place, TensorWriter* writer) const {
  uint64_t done = 0;
  const uint64_t total = target_bytes();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const uint64_t there = i == place.tensor ? place.bytes : 0;
    if (i < place.tensor) {
      done += tensors_[i].bytes();
      continue;
    }
    done += there;
    const auto advance = [&](uint64_t bytes) -> Status {
      done += bytes;
      if (!options.progress || options.progress(done, total)) return {};
      return CancelledError(path + ": interrupted");
    };
    const Status status = writer->Write(tensors_[i], there, advance);
    if (status.ok()) continue;
    return {status.code(), fmt::format("{}; {}.partial stays, and the same command goes on from it",
                                       status.message(), path)};
  }
  return {};
}

}  // namespace sluice
