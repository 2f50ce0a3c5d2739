// Writes a GGUF v3 file front to back: keys, tensor headers, then the tensors' bytes as they come.
// Nothing but the header is held in memory, so a file may be larger than the machine's.
//
// The file appears under its name only when it is whole: until Finish() it is `path`.partial, with
// its full length reserved, so that a full disk shows before anything is computed. A writer that is
// destroyed earlier removes what it began, or leaves it to be continued by the next one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"
#include "tensor/format.h"

namespace sluice {

class GgufWriter {
 public:
  // Opens `path`.partial, which nobody else may be writing. `architecture` becomes
  // general.architecture, the first key.
  static Result<GgufWriter> Create(const std::string& path, std::string_view architecture);
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;
  GgufWriter(GgufWriter&& other) noexcept;
  GgufWriter& operator=(GgufWriter&&) = delete;

  // Keys, each once. REQUIRES: before Begin().
  void AddU32(std::string_view key, uint32_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, std::span<const std::string> values);
  void AddI32s(std::string_view key, std::span<const int32_t> values);
  void AddF32s(std::string_view key, std::span<const float> values);
  // A key whose type and value are encoded already, as ReadEncodedKeys() has them.
  void AddEncoded(std::string_view key, std::string_view type_and_value);
  // A tensor; `shape` is outermost first, and whole blocks fit into the last dimension.
  // REQUIRES: before Begin().
  void AddTensor(std::string_view name, Format format, std::span<const int64_t> shape);

  // Bytes of tensors that were added, without padding.
  uint64_t tensor_bytes() const { return tensor_bytes_; }

  // Writes the header and reserves the disk. Fails if there is no room for the whole file.
  Status Begin();
  // The same, but goes on where an earlier writer with the same header and `sources` stopped, if
  // its file is there; the tensor `place.tensor` then has its first place.bytes bytes. `sources`
  // says what the tensors are made of: a file that was made of something else is begun anew. What
  // this writer has written stays if it is destroyed before Finish().
  struct Place {
    size_t tensor = 0;
    uint64_t bytes = 0;
    uint64_t file_bytes = 0;  // that are done already
    // Why a file that is there is begun anew; "": it is continued, or there was none.
    std::string anew_because;
  };
  Result<Place> BeginOrContinue(std::string_view sources);
  // The bytes of the tensors, in the order in which they were added, in pieces of any size that do
  // not span two tensors, from the place on. REQUIRES: after Begin().
  Status Write(std::span<const std::byte> bytes);
  // Gives the file its name, replacing what had it. If that fails, what BeginOrContinue() began
  // can still be continued. REQUIRES: every tensor is complete.
  Status Finish();

 private:
  struct Tensor {
    uint64_t offset = 0;  // from the start of the tensors' part of the file
    uint64_t bytes = 0;
  };

  GgufWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string Header() const;
  Status BeginAnew(std::string_view header);
  Status Reserve(uint64_t header_bytes);
  // Where an earlier writer of this header stopped.
  Result<Place> PlaceInFile(std::string_view header) const;
  void Key(std::string_view key, uint32_t type);
  void ArrayKey(std::string_view key, uint32_t type, uint64_t count);
  void String(std::string_view text);
  template <typename T>
  void Number(T value);
  Status WriteAll(std::span<const std::byte> bytes);
  Status WriteMark(std::string_view mark);
  Status Failure(const char* what) const;
  std::string partial() const { return path_ + ".partial"; }

  std::string path_;
  int fd_ = -1;
  std::string keys_;     // encoded
  std::string tensors_;  // encoded
  uint64_t key_count_ = 0;
  std::vector<Tensor> layout_;
  uint64_t tensor_bytes_ = 0;
  uint64_t end_ = 0;      // of the tensors, from the start of their part of the file, padded
  size_t current_ = 0;    // the tensor that is being written
  uint64_t written_ = 0;  // of it
  std::string mark_;      // the file's first bytes when it is whole
  // The same until then, where the file can be continued: no GGUF magic number. Else "".
  std::string unfinished_mark_;
  bool began_ = false;  // what is in the file is of this writer
  bool keeps_partial_ = false;
};

}  // namespace sluice
