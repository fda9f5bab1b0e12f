// Errors as values: Result<T> holds a T or an Error. The member names are those of std::expected, which
// neither of our compilers offers under C++20 yet.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace florence2 {

/// What kind of failure it was; programs switch on it, people read the message. The command line maps each
/// code to one exit status (docs/design.md, "Errors").
enum class ErrorCode {
  argument,       ///< the caller asked for something that is not allowed
  data,           ///< an input (image, prompt) is there but unusable
  not_found,      ///< an input does not exist
  unsupported,    ///< a feature or decoder that this build lacks
  internal,       ///< our own mistake
  memory,         ///< out of memory, threads or handles
  cannot_create,  ///< an output cannot be created
  io,             ///< reading or writing failed half-way
  limit,          ///< a size, time or memory budget was exceeded
  permission,     ///< an input may not be read
  model,          ///< the model folder is damaged or does not fit together
  cancelled,      ///< the caller's callback or a signal ended the work
};

/// A failure. `message` is one line that names the thing, what was found and what was expected; it does not
/// repeat the path when `where` holds one.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
  std::string where;  ///< file (or option) that the message is about; may be empty

  /// "where: message", or the message alone.
  std::string text() const { return where.empty() ? message : where + ": " + message; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// Precondition of the accessors: has_value(); of error(): !has_value().
  T& value() & noexcept { return *std::get_if<0>(&state_); }
  const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }
  T&& operator*() && noexcept { return std::move(*this).value(); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }
  Error& error() & noexcept { return *std::get_if<1>(&state_); }
  const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  Error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  bool has_value() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  const Error& error() const& noexcept { return error_; }
  Error&& error() && noexcept { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace florence2

#define FL_CONCAT_INNER(a, b) a##b
#define FL_CONCAT(a, b) FL_CONCAT_INNER(a, b)

/// FL_TRY(status_expression): returns its error to the caller.
#define FL_TRY(expression)                                       \
  do {                                                           \
    auto FL_CONCAT(fl_status_, __LINE__) = (expression);         \
    if (!FL_CONCAT(fl_status_, __LINE__)) {                      \
      return std::move(FL_CONCAT(fl_status_, __LINE__)).error(); \
    }                                                            \
  } while (false)

/// FL_ASSIGN(auto name, result_expression): declares or assigns the value, or returns the error.
#define FL_ASSIGN(target, expression)                          \
  auto FL_CONCAT(fl_result_, __LINE__) = (expression);         \
  if (!FL_CONCAT(fl_result_, __LINE__)) {                      \
    return std::move(FL_CONCAT(fl_result_, __LINE__)).error(); \
  }                                                            \
  target = std::move(FL_CONCAT(fl_result_, __LINE__)).value()
