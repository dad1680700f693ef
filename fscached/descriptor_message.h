// One datagram or piece of a stream, and at most one descriptor with it.
#pragma once

#include <sys/socket.h>

#include <cstring>

#include "erofs-format/base/os.h"

namespace fscached {

struct DescriptorMessage {
  msghdr header = {};
  iovec part = {};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};

  DescriptorMessage(void* bytes, size_t size) {
    part = {bytes, size};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  // Before sendmsg(); -1 = none.
  void carry(int descriptor) {
    if (descriptor < 0) return;
    make_room();
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &descriptor, sizeof(int));
  }
  // Before recvmsg().
  void make_room() {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  // After recvmsg(); invalid = none came.
  erofs_format::os::UniqueFd carried() {
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) return {};
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(item), sizeof(int));
    return erofs_format::os::UniqueFd(descriptor);
  }
};

}  // namespace fscached
