// Messages as the kernel writes them to a reader of /dev/cachefiles.
#pragma once

#include <cstring>
#include <string>

#include "fscached/kernel/cachefiles_abi.h"
#include "fscached/kernel/cachefiles_wire.h"

namespace fscached {

template <typename T>
void append(Buffer& bytes, const T& object) {
  const auto* from = reinterpret_cast<const uint8_t*>(&object);
  bytes.insert(bytes.end(), from, from + sizeof(T));
}

inline Buffer message(uint32_t id, uint32_t kind, uint32_t object, const Buffer& payload) {
  Buffer bytes;
  append(bytes, abi::CachefilesHeader{id, kind, static_cast<uint32_t>(16 + payload.size()), object});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

inline Buffer open_message(uint32_t id, uint32_t object, int fd, const std::string& volume,
                           const std::string& cookie) {
  Buffer payload;
  append(payload, abi::CachefilesOpen{static_cast<uint32_t>(volume.size() + 1),
                                      static_cast<uint32_t>(cookie.size()), static_cast<uint32_t>(fd), 0});
  std::string keys = volume + '\0' + cookie;
  payload.insert(payload.end(), keys.begin(), keys.end());
  return message(id, abi::kOpOpen, object, payload);
}

inline Buffer read_message(uint32_t id, uint32_t object, uint64_t offset, uint64_t count) {
  Buffer payload;
  append(payload, abi::CachefilesRead{offset, count});
  return message(id, abi::kOpRead, object, payload);
}

inline Buffer close_message(uint32_t id, uint32_t object) { return message(id, abi::kOpClose, object, {}); }

}  // namespace fscached
