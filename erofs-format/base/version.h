// What --version says of either program.
#pragma once

#include <string>
#include <string_view>

namespace erofs_format {

constexpr std::string_view kVersion = "0.1.0";

// The linker's digest of this program's code and data, 40 hex digits: two builds are equal if it is. Empty
// when the program was linked without one.
std::string build_id();

// Five lines, label and value with a tab between: nydus-snapshotter looks for `Git Commit:`, container tools
// for `Version:`. Nothing in them depends on the time of the build or the machine.
std::string version_text();

}  // namespace erofs_format
