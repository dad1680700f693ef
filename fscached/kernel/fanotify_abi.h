// What of fanotify newer kernels have and older headers lack (source: uapi/linux/fanotify.h).
#pragma once

#include <sys/fanotify.h>

#include <cstdint>

namespace fscached::abi {

constexpr uint64_t kFanPreAccess = 0x00100000;
constexpr uint8_t kFanInfoTypeRange = 6;
constexpr uint8_t kFanMetadataVersion = 3;

struct EventMetadata {
  uint32_t event_len;
  uint8_t vers;
  uint8_t reserved;
  uint16_t metadata_len;
  uint64_t mask;
  int32_t fd;
  int32_t pid;
};
static_assert(sizeof(EventMetadata) == 24);

struct InfoHeader {
  uint8_t info_type;
  uint8_t pad;
  uint16_t len;
};
static_assert(sizeof(InfoHeader) == 4);

struct InfoRange {
  InfoHeader header;
  uint32_t pad;
  uint64_t offset;
  uint64_t count;
};
static_assert(sizeof(InfoRange) == 24);

struct Response {
  int32_t fd;
  uint32_t response;
};
static_assert(sizeof(Response) == 8);

// The reader gets `error` instead of EPERM.
constexpr uint32_t deny_with(int error) { return FAN_DENY | static_cast<uint32_t>(error) << 24; }

}  // namespace fscached::abi
