// Log lines on stderr: "LEVEL component: message". The program name and time
// are added by whoever collects stderr (a terminal, the journal).
#pragma once

#include <string_view>

namespace erofs_format {

enum class LogLevel { error, warn, info, debug };

void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
// One write(2) a line, so that lines of several processes do not mix.
void log_line(LogLevel level, std::string_view component, std::string_view message);

}  // namespace erofs_format
