// A model of any kind as one GGUF file in the formats of a file type: planned first, so that its
// size is known, then written tensor by tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/gguf.h"
#include "convert/key_list.h"
#include "convert/target_tensor.h"
#include "convert/tensor_writer.h"
#include "quantize/file_type.h"
#include "sluice/status.h"

namespace sluice {

struct ConversionOptions {
  const FileType* file = nullptr;
  std::string name;           // general.name; "": the source's
  std::string pre_tokenizer;  // GGUF's name of how text is split; "": found out
};

struct WriteOptions {
  uint64_t ram_budget = 0;  // bytes, for the whole process
  // Gets bytes of the file done and in all; false stops, and what is written can be continued.
  std::function<bool(uint64_t, uint64_t)> progress;
  // Gets a line for the user where an earlier call's file is continued or cannot be.
  std::function<void(const std::string&)> notice;
};

class Conversion {
 public:
  // Understands the model and decides every format. Fails where GGUF cannot say what the model
  // computes, or its tokenizer does.
  static Result<Conversion> Plan(Model source, const ConversionOptions& options);

  const Model& source() const { return source_; }
  const std::vector<TargetTensor>& tensors() const { return tensors_; }
  // Of all tensors.
  uint64_t target_bytes() const;
  // The largest piece that is converted at once.
  uint64_t least_buffer_bytes() const;
  // The least budget that Write() can do with: what the process has when all is planned, too.
  uint64_t least_ram_budget() const;
  // Fails under a smaller one.
  Status CheckBudget(uint64_t ram_budget) const;

  // Writes `path`, or continues it: the same source, options and path go on where an earlier call
  // was stopped. The same bytes under every budget and number of threads. A failure that leaves
  // something to continue names it.
  Status Write(const std::string& path, const WriteOptions& options, ThreadPool* pool) const;

 private:
  Conversion(Model source, const FileType& file) : source_(std::move(source)), file_(&file) {}
  Status PlanDirectory(const ConversionOptions& options);
  Status PlanGguf(const ConversionOptions& options);
  Status PlanTokenizer(const ConversionOptions& options);
  Status WriteTensors(const std::string& path, const WriteOptions& options,
                      const GgufWriter::Place& place, TensorWriter* writer) const;
  std::string Sources() const;

  Model source_;
  const FileType* file_;
  KeyList keys_;
  std::vector<EncodedKey> copied_keys_;  // of a GGUF file
  std::string architecture_;
  std::vector<TargetTensor> tensors_;
  uint64_t resident_bytes_ = 0;  // of the process when all was planned
};

}  // namespace sluice
