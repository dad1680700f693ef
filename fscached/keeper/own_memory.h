// The keeper takes its memory when it begins: what restarts a worker must not depend on what is left by then.
#pragma once

namespace fscached::keeper {

// From here on the heap gives nothing back to the kernel and has kKeeperHeapBytes in hand, the stack
// kKeeperStackBytes, and what was ever touched stays in memory. Said in the log when that is not permitted.
void take_memory();

}  // namespace fscached::keeper
