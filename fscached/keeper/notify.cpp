#include "fscached/keeper/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace fscached::keeper {

void notify(std::string_view state) {
  const char* name = secure_getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (!name || (name[0] != '/' && name[0] != '@') || std::strlen(name) >= sizeof(address.sun_path)) return;
  size_t length = std::strlen(name);
  std::memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = 0;  // the abstract name space
  int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // A service manager that does not listen is its own problem.
  [[maybe_unused]] ssize_t sent = sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                                         reinterpret_cast<const sockaddr*>(&address), size);
  close(socket);
}

}  // namespace fscached::keeper
