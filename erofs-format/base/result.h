// Errors are values: a Result<T> holds a T or an Error that names the object.
#pragma once

#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace erofs_format {

// What kind of failure; `exit_status` and `errno_of` map each to the outside.
enum class Code {
  invalid_argument,  // the caller's words are wrong (usage)
  not_found,
  io,  // a system call failed; sys_errno says how
  no_space,
  corrupt,          // foreign bytes break their format
  unsupported,      // a named feature we do not implement
  too_large,        // a named limit was passed
  changed,          // a source changed while it was read
  digest_mismatch,  // bytes are not what their digest says
  network,
  auth,
  timeout,
  cancelled,
  internal,
};

struct Error {
  Code code = Code::internal;
  int sys_errno = 0;    // 0 when no system call was involved
  std::string message;  // "OBJECT: what is wrong"
  int exit_code = 1;    // process exit status this failure asks for

  // Puts the enclosing object in front: "layer 2: usr/bin/x: ...".
  Error&& within(std::string_view object) && {
    message.insert(0, std::string(object) + ": ");
    return std::move(*this);
  }
};

inline Error make_error(Code code, std::string message) { return Error{code, 0, std::move(message), 1}; }

// An Error of a failed system call; reads errno, so call it at once.
inline Error errno_error(std::string_view object, int error = errno) {
  Code code = error == ENOENT                        ? Code::not_found
              : (error == ENOSPC || error == EDQUOT) ? Code::no_space
                                                     : Code::io;
  return Error{code, error, std::string(object) + ": " + std::strerror(error), 1};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& value() & {
    assert(*this);
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(*this);
    return *std::get_if<0>(&state_);
  }
  Error& error() & { return *std::get_if<1>(&state_); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return !error_; }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

#define EF_CONCAT_(a, b) a##b
#define EF_CONCAT(a, b) EF_CONCAT_(a, b)

// Returns the error of `expr` from the enclosing function, if there is one.
#define TRY(expr)                                                                    \
  do {                                                                               \
    if (auto ef_result_ = (expr); !ef_result_) return std::move(ef_result_).error(); \
  } while (0)

// TRY_ASSIGN(auto fd, open_file(path)): the value, or return the error.
#define TRY_ASSIGN(declaration, expr) EF_TRY_ASSIGN_(EF_CONCAT(ef_result_, __LINE__), declaration, expr)
#define EF_TRY_ASSIGN_(result, declaration, expr) \
  auto result = (expr);                           \
  if (!result) return std::move(result).error();  \
  declaration = std::move(*result)

}  // namespace erofs_format
