// Tells the service manager (systemd Type=notify); without one it does nothing.
#pragma once

#include <string_view>

namespace fscached::keeper {

// "READY=1", "STATUS=…", "STOPPING=1"; FDSTORE with a descriptor.
void notify(std::string_view state, int descriptor = -1);

}  // namespace fscached::keeper
