#include "fscached/keeper/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace fscached::keeper {

namespace {

struct Envelope {
  msghdr header = {};
  iovec part = {};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};

  Envelope(void* bytes, size_t size) {
    part = {bytes, size};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  void carry(int descriptor) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &descriptor, sizeof(int));
  }
  os::UniqueFd carried() {
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) return {};
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(item), sizeof(int));
    return os::UniqueFd(descriptor);
  }
};

}  // namespace

bool put_text(std::span<char> field, std::string_view from) {
  if (from.size() >= field.size() || from.find('\0') != from.npos) return false;
  std::copy(from.begin(), from.end(), field.begin());
  field[from.size()] = 0;
  return true;
}

std::string text_of(std::span<const char> field) {
  return std::string(field.data(), strnlen(field.data(), field.size()));
}

void fail_message(Message& message, const Error& error) {
  message.error = error.sys_errno ? error.sys_errno : EINVAL;
  put_text(message.path, error.message.substr(0, kMaxPath - 1));
}

Result<void> send_message(int socket, const Message& message, int descriptor) {
  // sendmsg takes one pointer type for both directions; sending only reads.
  Envelope envelope(const_cast<Message*>(&message), sizeof(message));
  if (descriptor >= 0) envelope.carry(descriptor);
  ssize_t sent = 0;
  do sent = sendmsg(socket, &envelope.header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno_error("keeper socket: send");
  return {};
}

Result<Received> receive_message(int socket) {
  Received received;
  Envelope envelope(&received.message, sizeof(received.message));
  envelope.header.msg_control = envelope.control;
  envelope.header.msg_controllen = sizeof(envelope.control);
  ssize_t size = 0;
  do size = recvmsg(socket, &envelope.header, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0 && errno != ECONNRESET) return errno_error("keeper socket: receive");
  if (size <= 0) return make_error(Code::cancelled, "keeper socket: the other end is gone");
  received.descriptor = envelope.carried();
  if (size != sizeof(received.message))
    return make_error(Code::internal, "keeper socket: a message of the wrong size");
  return received;
}

}  // namespace fscached::keeper
