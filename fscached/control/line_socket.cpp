#include "fscached/control/line_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "fscached/descriptor_message.h"
#include "fscached/limits.h"

namespace fscached {

Result<LineSocket> LineSocket::connect(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return make_error(Code::invalid_argument, path + ": longer than a socket's path can be");
  path.copy(address.sun_path, path.size());
  os::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno_error("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno_error(path + (errno == ENOENT || errno == ECONNREFUSED ? ": is the daemon running?" : ""));
  return LineSocket(std::move(socket));
}

Result<std::string> LineSocket::read_line() {
  for (;;) {
    size_t newline = pending_.find('\n');
    if (newline != pending_.npos) {
      std::string line = pending_.substr(0, newline);
      pending_.erase(0, newline + 1);
      return line;
    }
    if (pending_.size() > kMaxControlLine)
      return make_error(Code::too_large, "control socket: line is too long");
    uint8_t bytes[4096];
    TRY_ASSIGN(size_t size, receive(bytes));
    if (size == 0) return make_error(Code::cancelled, "control socket: the other end closed it");
    pending_ += as_text({bytes, size});
  }
}

Result<size_t> LineSocket::receive(MutableBytes into) {
  DescriptorMessage envelope(into.data(), into.size());
  ssize_t size = envelope.receive(socket_.get());
  if (size < 0) return errno_error("control socket");
  if (os::UniqueFd carried = envelope.carried(); carried.valid()) descriptor_ = std::move(carried);
  return static_cast<size_t>(size);
}

Result<void> LineSocket::write(const nlohmann::json& message, int descriptor) {
  std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  for (size_t sent = 0; sent < text.size();) {
    DescriptorMessage envelope(text.data() + sent, text.size() - sent);
    if (sent == 0) envelope.carry(descriptor);
    ssize_t size = envelope.send(socket_.get());
    if (size < 0) return errno_error("control socket");
    sent += static_cast<size_t>(size);
  }
  return {};
}

}  // namespace fscached
