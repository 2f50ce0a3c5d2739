// Status and Result<T>: the only way anything in sluice fails.
//
// A Status is a code and a sentence for a person. The sentence names what failed (file, field,
// value) and, where there is one, the remedy; each caller that knows more adds context once with
// Annotate(). Values, no exceptions: failures travel through completions of I/O threads, and text
// from other people's files makes failure ordinary.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace sluice {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // the caller's request makes no sense: fix the call
  kNotFound,           // a file, tensor or key that should be there is not
  kCorrupt,            // a file's content contradicts itself or its format
  kUnsupported,        // well-formed, but nothing here knows how
  kResourceExhausted,  // memory budget, queue, context length
  kIo,                 // the operating system refused or failed
  kCancelled,          // somebody asked to stop
  kInternal,           // a bug in sluice
};

// "invalid argument", "corrupt", ...
const char* StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same failure with "context: " in front of its message; an ok status stays as it is.
  Status Annotate(const std::string& context) const {
    return ok() ? *this : Status(code_, context + ": " + message_);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status InvalidArgumentError(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
inline Status NotFoundError(std::string message) {
  return {StatusCode::kNotFound, std::move(message)};
}
inline Status CorruptError(std::string message) {
  return {StatusCode::kCorrupt, std::move(message)};
}
inline Status UnsupportedError(std::string message) {
  return {StatusCode::kUnsupported, std::move(message)};
}
inline Status ResourceExhaustedError(std::string message) {
  return {StatusCode::kResourceExhausted, std::move(message)};
}
inline Status IoError(std::string message) { return {StatusCode::kIo, std::move(message)}; }
inline Status CancelledError(std::string message) {
  return {StatusCode::kCancelled, std::move(message)};
}
inline Status InternalError(std::string message) {
  return {StatusCode::kInternal, std::move(message)};
}

// A T, or the Status that says why there is none. Reading the value of a failed Result aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    if (status_.ok()) std::abort();                     // a Result without a value must say why
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    if (!ok()) std::abort();
    return *value_;
  }
  const T& value() const& {
    if (!ok()) std::abort();
    return *value_;
  }
  T&& value() && {
    if (!ok()) std::abort();
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace sluice

// SLUICE_TRY(expr): returns from the enclosing function if the Status `expr` is a failure.
#define SLUICE_TRY(expr)                                                                    \
  do {                                                                                      \
    if (::sluice::Status sluice_status = (expr); !sluice_status.ok()) return sluice_status; \
  } while (false)

// SLUICE_TRY_ASSIGN(auto x, expr): the value of the Result `expr`, or returns its Status.
#define SLUICE_TRY_ASSIGN(target, expr) \
  SLUICE_TRY_ASSIGN_(SLUICE_TRY_CONCAT_(sluice_result_, __LINE__), target, expr)
#define SLUICE_TRY_ASSIGN_(result, target, expr) \
  auto result = (expr);                          \
  if (!result.ok()) return result.status();      \
  target = std::move(result).value()
#define SLUICE_TRY_CONCAT_(a, b) SLUICE_TRY_CONCAT_INNER_(a, b)
#define SLUICE_TRY_CONCAT_INNER_(a, b) a##b
