// The commands of mkfs.nydus-erofs; each in a file of its own (command_NAME.cpp).
#pragma once

#include "erofs-format/base/options.h"

namespace mkfs {

using namespace erofs_format;

// main.cpp obeys these for every command that has them.
inline constexpr Option kLogLevelOption = {"log-level", 'l', "LEVEL", "error, warn, info, debug or trace"};
inline constexpr Option kLogFileOption = {"log-file", 'L', "FILE", "append log lines to this file"};

extern const Command kDefaultCommand;  // BOOTSTRAP SOURCE
extern const Command kCreateCommand;
extern const Command kMergeCommand;
extern const Command kConvertCommand;
extern const Command kCheckCommand;
extern const Command kInspectCommand;
extern const Command kStatCommand;
extern const Command kUnpackCommand;
extern const Command kExportCommand;
extern const Command kChunkdictCommand;
extern const Command kOptimizeCommand;
extern const Command kDumpCommand;

}  // namespace mkfs
