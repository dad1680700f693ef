// Lines of JSON over a stream socket, bounded. A descriptor may come with one.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

class LineSocket {
 public:
  explicit LineSocket(os::UniqueFd socket) : socket_(std::move(socket)) {}
  static Result<LineSocket> connect(const std::string& path);
  // Without its newline; Code::cancelled when the other end closed before one.
  Result<std::string> read_line();
  // `descriptor` -1 = none.
  Result<void> write(const nlohmann::json& message, int descriptor = -1);
  // Ends its use; what was read and not taken is lost.
  os::UniqueFd release() { return std::move(socket_); }
  // The descriptor that came with what was read; invalid = none.
  os::UniqueFd take_descriptor() { return std::move(descriptor_); }

 private:
  Result<size_t> receive(MutableBytes into);
  os::UniqueFd socket_;
  os::UniqueFd descriptor_;
  std::string pending_;
};

}  // namespace fscached
