// Arithmetic on untrusted numbers: every overflow is seen.
#pragma once

#include <cassert>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace erofs_format {

// *out = a + b; false on overflow.
template <typename T>
[[nodiscard]] inline bool checked_add(T a, std::type_identity_t<T> b, T* out) {
  return !__builtin_add_overflow(a, b, out);
}

// *out = a * b; false on overflow.
template <typename T>
[[nodiscard]] inline bool checked_mul(T a, std::type_identity_t<T> b, T* out) {
  return !__builtin_mul_overflow(a, b, out);
}

// Whether [offset, offset + size) lies in [0, limit).
inline bool in_range(uint64_t offset, uint64_t size, uint64_t limit) {
  return offset <= limit && size <= limit - offset;
}

constexpr bool is_power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

// Rounds up to a multiple of a power of two. The caller has bounded `n`.
constexpr uint64_t align_up(uint64_t n, uint64_t power_of_two) {
  return (n + power_of_two - 1) & ~(power_of_two - 1);
}
constexpr uint64_t align_down(uint64_t n, uint64_t power_of_two) { return n & ~(power_of_two - 1); }
constexpr uint64_t div_up(uint64_t n, uint64_t d) { return n / d + (n % d != 0); }

// A conversion that the caller has proved to fit; asserted in debug builds.
template <typename To, typename From>
constexpr To narrow(From value) {
  assert(static_cast<From>(static_cast<To>(value)) == value);
  return static_cast<To>(value);
}

}  // namespace erofs_format
