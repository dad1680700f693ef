// The on-demand protocol of /dev/cachefiles (source: uapi/linux/cachefiles.h). Host order, as the kernel
// writes it.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace fscached::abi {

constexpr char kCachefilesDevice[] = "/dev/cachefiles";
constexpr uint32_t kOpOpen = 0;
constexpr uint32_t kOpClose = 1;
constexpr uint32_t kOpRead = 2;

struct CachefilesHeader {
  uint32_t msg_id;
  uint32_t opcode;
  uint32_t len;  // of the whole message
  uint32_t object_id;
};
static_assert(sizeof(CachefilesHeader) == 16);

// Then the volume key with its NUL, then the cookie key without one.
struct CachefilesOpen {
  uint32_t volume_key_size;
  uint32_t cookie_key_size;
  uint32_t fd;  // open already, in the process that read the message
  uint32_t flags;
};
static_assert(sizeof(CachefilesOpen) == 16);

struct CachefilesRead {
  uint64_t off;
  uint64_t len;
};
static_assert(sizeof(CachefilesRead) == 16);

// On the object's anonymous descriptor; the argument is the msg_id itself.
constexpr unsigned long kReadComplete = _IOW(0x98, 1, int);

}  // namespace fscached::abi
