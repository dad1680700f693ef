// A path as a process with another working directory finds it.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// Touches nothing but the working directory's name.
inline Result<std::string> absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::unique_ptr<char, void (*)(void*)> folder(getcwd(nullptr, 0), free);
  if (!folder) return errno_error(path);
  return std::string(folder.get()) + "/" + path;
}

}  // namespace fscached
