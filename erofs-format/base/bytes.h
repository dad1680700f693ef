// Byte buffers, and a cursor that cannot leave its span.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "erofs-format/base/checked.h"

namespace erofs_format {

using ByteView = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;
using Buffer = std::vector<uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// The bytes of an on-disk struct (alignment 1, no padding).
template <typename T>
requires(std::is_trivially_copyable_v<T> && alignof(T) == 1) ByteView bytes_of(const T& object) {
  return {reinterpret_cast<const uint8_t*>(&object), sizeof(T)};
}

// An on-disk struct in place at `offset`; null when it does not lie inside.
template <typename T>
requires(std::is_trivially_copyable_v<T> && alignof(T) == 1) const T* struct_at(ByteView bytes,
                                                                                uint64_t offset) {
  if (!in_range(offset, sizeof(T), bytes.size())) return nullptr;
  return reinterpret_cast<const T*>(bytes.data() + offset);
}

// `count` consecutive on-disk structs at `offset`; null data when outside.
template <typename T>
requires(std::is_trivially_copyable_v<T> &&
         alignof(T) == 1) std::span<const T> structs_at(ByteView bytes, uint64_t offset, uint64_t count) {
  uint64_t size = 0;
  if (!checked_mul<uint64_t>(count, sizeof(T), &size) || !in_range(offset, size, bytes.size())) return {};
  return {reinterpret_cast<const T*>(bytes.data() + offset), static_cast<size_t>(count)};
}

inline void append(Buffer& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

// Text up to the first NUL or the end of a fixed field.
inline std::string_view text_field(ByteView field) {
  std::string_view text = as_text(field);
  return text.substr(0, text.find('\0'));
}

// `text` with bytes outside printable ASCII and the backslash as \xHH.
std::string printable(std::string_view text);

}  // namespace erofs_format
