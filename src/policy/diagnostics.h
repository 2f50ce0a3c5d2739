// What is wrong with a policy file, all of it: place, code, sentence, remedy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"

namespace sluice {

// Where something is written. Lines and columns count from 1, columns in bytes; 0: nowhere.
struct Place {
  uint32_t offset = 0;
  uint32_t length = 0;
  int32_t line = 0;
  int32_t column = 0;

  uint32_t end() const { return offset + length; }
};
// From the begin of `first` to the end of `last`.
Place Through(const Place& first, const Place& last);

enum class Severity { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string_view code;  // of rules.inc
  Place place;
  std::string message;
  std::string remedy;  // what to write instead; may be empty
};

// The rules that a policy can break, from rules.inc.
struct PolicyRule {
  std::string_view code;
  std::string_view title;
};
const std::vector<PolicyRule>& PolicyRules();

// Collects what is found in one file. Codes that begin with W are warnings.
class Diagnostics {
 public:
  // Beyond this many errors a file is not worth reading on; as many warnings are kept.
  static constexpr size_t kMost = 100;

  Diagnostics(std::string file_name, std::string_view source);

  // The same code at the same place counts once.
  void Add(std::string_view code, const Place& place, std::string message, std::string remedy = "");
  void SortByPlace();

  bool ok() const { return errors_ == 0; }
  bool full() const { return errors_ >= kMost; }
  size_t errors() const { return errors_; }
  const std::vector<Diagnostic>& found() const { return found_; }
  const std::string& file_name() const { return file_name_; }

  // "file:line:column: error E201: message", the line, a caret, the remedy.
  std::string Render(const Diagnostic& diagnostic) const;
  std::string RenderAll() const;
  // kInvalidArgument with every error in it; ok where there are only warnings.
  Status ToStatus() const;

 private:
  std::string_view LineAt(const Place& place) const;

  std::string file_name_;
  std::string source_;
  std::vector<Diagnostic> found_;
  size_t errors_ = 0;
};

}  // namespace sluice
