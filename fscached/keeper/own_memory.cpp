#include "fscached/keeper/own_memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cstring>

#include "erofs-format/base/log.h"
#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached::keeper {

using namespace erofs_format;

namespace {

[[gnu::noinline]] void touch_stack() {
  volatile char pages[kKeeperStackBytes];
  for (size_t at = 0; at < sizeof(pages); at += 4096) pages[at] = 1;
}

}  // namespace

void take_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  if (void* heap = malloc(kKeeperHeapBytes)) {
    explicit_bzero(heap, kKeeperHeapBytes);
    free(heap);
  }
  touch_stack();
  // What is never used of the libraries need not come into memory for that.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    log_line(LogLevel::warn, "keeper", errno_error("its memory is not locked").message);
}

}  // namespace fscached::keeper
