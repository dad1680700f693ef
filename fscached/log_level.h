// Log levels by the words of settings and command lines.
#pragma once

#include <string_view>

#include "erofs-format/base/log.h"

namespace fscached {

// "error", "warn", "debug"; what is none of them is info.
inline erofs_format::LogLevel log_level_named(std::string_view name) {
  using erofs_format::LogLevel;
  if (name == "error") return LogLevel::error;
  if (name == "warn") return LogLevel::warn;
  return name == "debug" ? LogLevel::debug : LogLevel::info;
}

}  // namespace fscached
