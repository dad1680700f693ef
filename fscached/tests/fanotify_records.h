// Event records as the kernel writes them, for tests.
#pragma once

#include <utility>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "fscached/kernel/fanotify_abi.h"

namespace fscached {

using namespace erofs_format;

struct RecordOf {
  int32_t number;
  uint64_t offset;
  uint64_t count;
};

template <typename T>
void append_struct(Buffer& bytes, const T& value) {
  append(bytes, {reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
}

inline Buffer event_record_without_range(int32_t number, uint64_t mask = abi::kFanPreAccess) {
  Buffer bytes;
  append_struct(bytes, abi::EventMetadata{sizeof(abi::EventMetadata), abi::kFanMetadataVersion, 0,
                                          sizeof(abi::EventMetadata), mask, number, 4242});
  return bytes;
}

// `unknown`: information records before the range, type and length.
inline Buffer event_record(RecordOf record, const std::vector<std::pair<uint8_t, uint16_t>>& unknown = {}) {
  Buffer bytes = event_record_without_range(record.number);
  for (auto [type, length] : unknown) {
    append_struct(bytes, abi::InfoHeader{type, 0, length});
    bytes.resize(bytes.size() + length - sizeof(abi::InfoHeader));
  }
  append_struct(
      bytes,
      abi::InfoRange{{abi::kFanInfoTypeRange, 0, sizeof(abi::InfoRange)}, 0, record.offset, record.count});
  bytes[0] = static_cast<uint8_t>(bytes.size());
  return bytes;
}

}  // namespace fscached
