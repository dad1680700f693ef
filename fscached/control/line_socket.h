// Lines of JSON over a stream socket, bounded.
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
  Result<void> write(const nlohmann::json& message);

 private:
  os::UniqueFd socket_;
  std::string pending_;
};

}  // namespace fscached
