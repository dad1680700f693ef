// Between the launcher (root) and the process that speaks HTTP (nobody): what the second may ask of the
// first. Messages of one size over a socket pair, one answer for each, a descriptor with some.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached {

using namespace erofs_format;

enum class LauncherOp : uint32_t {
  begin,           // to the API process: it is wanted
  open_daemon,     // text = root; starts a daemon there when none runs; -> a connection to its control socket
  known_root,      // number = which; -> text = root, empty = no more
  open_bootstrap,  // text = path; -> the file
  open_config,     // -> the file of --config
  make_mountpoint,  // text = name below the mountpoint
  remove_mountpoint,
  leave,  // the launcher ends, everything that is mounted stays
};

struct LauncherMessage {
  LauncherOp op = LauncherOp::begin;
  int32_t error = 0;  // errno of an answer; then text says what failed
  uint32_t number = 0;
  uint32_t text_size = 0;
  char text[kMaxPath] = {};

  // False when it is too long.
  bool set_text(std::string_view from);
  std::string text_of() const { return std::string(text, text_size); }
};

struct LauncherReceived {
  LauncherMessage message;
  os::UniqueFd descriptor;
};

Result<void> send_launcher_message(int socket, const LauncherMessage& message, int descriptor = -1);
// Code::cancelled: the other end is gone.
Result<LauncherReceived> receive_launcher_message(int socket);

// Where an image appears: `name` of the API ("/8") behind the mountpoint. Refused: "..", "." and empty
// parts. "/" is the mountpoint itself.
Result<std::string> mountpoint_of(const std::string& mountpoint, const std::string& name);

}  // namespace fscached
