// Tells the service manager (systemd Type=notify); without one it does nothing.
#pragma once

#include <string_view>

namespace fscached::keeper {

// "READY=1", "STATUS=…", "STOPPING=1".
void notify(std::string_view state);

}  // namespace fscached::keeper
