#include "fscached/keeper/wire.h"

#include <algorithm>
#include <cstring>

#include "fscached/descriptor_message.h"

namespace fscached::keeper {

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
  DescriptorMessage envelope(&message, sizeof(message));
  envelope.carry(descriptor);
  if (envelope.send(socket) < 0) return errno_error("keeper socket: send");
  return {};
}

Result<Received> receive_message(int socket) {
  Received received;
  DescriptorMessage envelope(&received.message, sizeof(received.message));
  ssize_t size = envelope.receive(socket);
  if (size < 0 && errno != ECONNRESET) return errno_error("keeper socket: receive");
  if (size <= 0) return make_error(Code::cancelled, "keeper socket: the other end is gone");
  received.descriptor = envelope.carried();
  if (size != sizeof(received.message))
    return make_error(Code::internal, "keeper socket: a message of the wrong size");
  return received;
}

}  // namespace fscached::keeper
