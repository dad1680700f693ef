#include "fscached/fault_point.h"

#ifdef FAULTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "erofs-format/base/os.h"

namespace fscached {

void fault_point(unsigned number) {
  char text[32] = {};
  unsigned wanted = 0, nth = 1;
  erofs_format::os::UniqueFd file(open("FAULT", O_RDWR | O_CLOEXEC));
  if (!file.valid() || pread(file.get(), text, sizeof(text) - 1, 0) <= 0) return;
  if (std::sscanf(text, "kill@%u,%u", &wanted, &nth) < 1 || wanted != number) return;
  if (nth > 1) {
    int size = std::snprintf(text, sizeof(text), "kill@%u,%-10u", number, nth - 1);
    [[maybe_unused]] ssize_t written = pwrite(file.get(), text, static_cast<size_t>(size), 0);
  } else if (pwrite(file.get(), "done\n", 5, 0) == 5) {
    raise(SIGKILL);  // the sandbox lets it signal nobody else
  }
}

}  // namespace fscached

#endif
