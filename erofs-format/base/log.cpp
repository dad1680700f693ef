#include "erofs-format/base/log.h"

#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <iterator>

namespace erofs_format {

namespace {
std::atomic<LogLevel> current_level{LogLevel::info};
std::atomic<int> output{STDERR_FILENO};

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::error: return "error";
    case LogLevel::warn: return "warn";
    case LogLevel::info: return "info";
    case LogLevel::debug: return "debug";
  }
  return "?";
}

iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }
}  // namespace

void set_log_level(LogLevel level) { current_level = level; }

void set_log_output(int fd) { output = fd; }

bool log_enabled(LogLevel level) { return level <= current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view component, std::string_view message) {
  if (!log_enabled(level)) return;
  iovec line[] = {piece(level_name(level)), piece(" "), piece(component), piece(": "),
                  piece(message),           piece("\n")};
  // A log that cannot be written must not stop the work.
  [[maybe_unused]] ssize_t written = ::writev(output, line, std::size(line));
}

}  // namespace erofs_format
