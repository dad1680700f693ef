// Little-endian integers as byte arrays, so that an on-disk struct has no
// padding, no alignment and the same bytes on every machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace erofs_format {

template <typename T>
class LittleEndian {
 public:
  LittleEndian() = default;
  LittleEndian(T value) { store(value); }
  LittleEndian& operator=(T value) {
    store(value);
    return *this;
  }
  operator T() const { return load(); }
  T value() const { return load(); }

 private:
  void store(T value) {
    for (unsigned i = 0; i < sizeof(T); i++) bytes_[i] = static_cast<uint8_t>(value >> (8 * i));
  }
  T load() const {
    T value = 0;
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&value, bytes_, sizeof(T));
    } else {
      for (unsigned i = 0; i < sizeof(T); i++)
        value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes_[i]) << (8 * i)));
    }
    return value;
  }
  uint8_t bytes_[sizeof(T)] = {};
};

using le16 = LittleEndian<uint16_t>;
using le32 = LittleEndian<uint32_t>;
using le64 = LittleEndian<uint64_t>;

static_assert(sizeof(le16) == 2 && alignof(le16) == 1);
static_assert(sizeof(le32) == 4 && alignof(le32) == 1);
static_assert(sizeof(le64) == 8 && alignof(le64) == 1);

}  // namespace erofs_format
