#include "fscached/personality/launcher_wire.h"

#include "erofs-format/base/bytes.h"
#include "fscached/descriptor_message.h"

namespace fscached {

bool LauncherMessage::set_text(std::string_view from) {
  if (from.size() >= sizeof(text)) return false;
  from.copy(text, from.size());
  text_size = static_cast<uint32_t>(from.size());
  return true;
}

Result<void> send_launcher_message(int socket, const LauncherMessage& message, int descriptor) {
  DescriptorMessage envelope(&message, sizeof(message));
  envelope.carry(descriptor);
  if (envelope.send(socket) != static_cast<ssize_t>(sizeof(message))) return errno_error("launcher");
  return {};
}

Result<LauncherReceived> receive_launcher_message(int socket) {
  LauncherReceived received;
  DescriptorMessage envelope(&received.message, sizeof(received.message));
  ssize_t size = envelope.receive(socket);
  if (size < 0) return errno_error("launcher");
  received.descriptor = envelope.carried();
  if (size == 0) return make_error(Code::cancelled, "launcher: the other end is gone");
  if (size != static_cast<ssize_t>(sizeof(received.message)) ||
      received.message.text_size >= sizeof(received.message.text))
    return make_error(Code::corrupt, "launcher: a message of another size");
  return received;
}

Result<std::string> mountpoint_of(const std::string& mountpoint, const std::string& name) {
  if (!name.starts_with('/'))
    return make_error(Code::invalid_argument, "mountpoint '" + printable(name) + "': does not begin with /");
  if (name == "/") return mountpoint;
  for (size_t start = 1; start <= name.size();) {
    size_t end = std::min(name.find('/', start), name.size());
    std::string_view part = std::string_view(name).substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos)
      return make_error(Code::invalid_argument, "mountpoint '" + printable(name) + "': leads elsewhere");
    start = end + 1;
  }
  return mountpoint + name;
}

}  // namespace fscached
