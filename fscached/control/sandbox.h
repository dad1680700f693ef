// What the worker takes from itself before it meets foreign bytes: it goes on with what it has open, with
// files it may open, and with connections. Everything else the kernel refuses.
#pragma once

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// No core, no tracer; files are changed below the directory `root` only, where the kernel has Landlock. Holds
// for threads started afterwards. `root` -1: nowhere. Opens and closes descriptors.
Result<void> confine_files(int root);
// Only the system calls a worker needs, for every thread there is and comes. The event loop's ring must
// exist; it takes care of itself (loop.cpp).
Result<void> confine_calls();

}  // namespace fscached
