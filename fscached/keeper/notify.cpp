#include "fscached/keeper/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "fscached/descriptor_message.h"

namespace fscached::keeper {

using namespace erofs_format;

void notify(std::string_view state, int descriptor) {
  const char* name = secure_getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (!name || (name[0] != '/' && name[0] != '@') || std::strlen(name) >= sizeof(address.sun_path)) return;
  size_t length = std::strlen(name);
  std::memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = 0;  // the abstract name space
  os::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return;
  // One that does not listen must not stop us: it is told less.
  timeval patience = {1, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  DescriptorMessage message(state.data(), state.size());
  message.carry(descriptor);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      message.send(socket.get()) < 0)
    log_line(LogLevel::warn, "keeper", errno_error("service manager: " + std::string(state)).message);
}

}  // namespace fscached::keeper
