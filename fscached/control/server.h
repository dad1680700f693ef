// The control socket: one request a connection. A line of JSON comes, any number of
// {"progress": …} lines and one {"result": …} or {"error": …} line go back.
#pragma once

#include "fscached/control/daemon.h"

namespace fscached {

// Accepts on a thread of its own, for as long as the process lives.
void start_control_server(Daemon& daemon, int listener);

}  // namespace fscached
