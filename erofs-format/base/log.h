// Log lines on stderr or in a file: "LEVEL component: message". The program name and time
// are added by whoever collects stderr (a terminal, the journal).
#pragma once

#include <string_view>

namespace erofs_format {

enum class LogLevel { error, warn, info, debug };

void set_log_level(LogLevel level);
// Lines go to `fd` (borrowed) instead of stderr.
void set_log_output(int fd);
bool log_enabled(LogLevel level);
// One writev(2) a line, so that lines of several processes do not mix; no memory, so that it can also be said
// that there is none.
void log_line(LogLevel level, std::string_view component, std::string_view message);

}  // namespace erofs_format
