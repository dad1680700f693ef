// One datagram or piece of a stream, and at most one descriptor with it.
#pragma once

#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "erofs-format/base/os.h"

namespace fscached {

class DescriptorMessage {
 public:
  // `bytes`: sent, or received into. sendmsg() takes one pointer type for both; sending only reads.
  DescriptorMessage(const void* bytes, size_t size) : part_{const_cast<void*>(bytes), size} {
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;

  // Before send(); -1 = none.
  void carry(int descriptor) {
    if (descriptor < 0) return;
    make_room();
    cmsghdr* item = CMSG_FIRSTHDR(&header_);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &descriptor, sizeof(int));
  }
  // As sendmsg() and recvmsg(), begun again when a signal came between.
  ssize_t send(int socket) {
    ssize_t size = 0;
    do size = sendmsg(socket, &header_, MSG_NOSIGNAL);
    while (size < 0 && errno == EINTR);
    return size;
  }
  ssize_t receive(int socket) {
    make_room();
    ssize_t size = 0;
    do size = recvmsg(socket, &header_, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    return size;
  }
  // After receive(); invalid = none came.
  erofs_format::os::UniqueFd carried() {
    cmsghdr* item = CMSG_FIRSTHDR(&header_);
    if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) return {};
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(item), sizeof(int));
    return erofs_format::os::UniqueFd(descriptor);
  }

 private:
  void make_room() {
    header_.msg_control = control_;
    header_.msg_controllen = sizeof(control_);
  }
  msghdr header_ = {};
  iovec part_;
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
};

}  // namespace fscached
