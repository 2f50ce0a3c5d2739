// Files of one JSON object per line, as every tracer writes them: lines with their numbers, and
// the fields of a line without a tree of values for each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "sluice/status.h"

namespace sluice {

// Lines that are not blank, front to back, through a small window.
class JsonLineReader {
 public:
  explicit JsonLineReader(const File* file) : file_(*file) {}

  // Goes to the next line; false at the end of the file.
  Result<bool> Next();
  std::string_view line() const { return line_; }
  // The same failure, with file and line in front.
  Status Annotate(const Status& status) const;
  Status Error(const std::string& what) const { return Annotate(CorruptError(what)); }

 private:
  Status Refill();

  const File& file_;
  std::string window_;
  size_t used_ = 0;        // of the window
  uint64_t position_ = 0;  // in the file, of the window's end
  uint64_t number_ = 0;    // of line_, from 1
  std::string_view line_;
};

// The fields of one line. Numbers, strings and arrays of numbers can be asked for; what else there
// is (nested values, true, null) is there and has no value. A number `null` in an array is a NaN.
class JsonRow {
 public:
  // Fails unless `line` is an object in which every key stands once.
  Status Parse(std::string_view line);

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // Fail if the field is missing or of another kind; integers also if they do not fit.
  Status Integer(std::string_view key, int64_t* out) const;
  Status Integer32(std::string_view key, int32_t* out) const;
  Status Text(std::string_view key, std::string* out) const;
  Status Integers(std::string_view key, std::vector<int32_t>* out) const;
  Status Floats(std::string_view key, std::vector<float>* out) const;

 private:
  class Events;
  struct Number {
    double value = 0;
    float single = 0;  // rounded once, from the text
    bool integral = false;
  };
  enum class Kind { kNumber, kText, kNumbers, kOther };
  struct Field {
    std::string key;
    Kind kind = Kind::kOther;
    std::string text;
    size_t first = 0;  // in numbers_
    size_t count = 0;
  };

  const Field* Find(std::string_view key) const;
  Status Expect(std::string_view key, Kind kind, const Field** field) const;

  std::vector<Field> fields_;  // of which the first used_; the rest keeps its memory
  size_t used_ = 0;
  std::vector<Number> numbers_;
};

}  // namespace sluice
