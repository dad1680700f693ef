#include <sys/stat.h>

#include "fscached/storage/localfs.h"
#include "fscached/storage/storage.h"

namespace fscached {

Result<std::unique_ptr<Storage>> open_storage(Loop& loop, const std::string& where, StorageCounters& counters,
                                              const StorageOptions&) {
  if (where.empty()) return make_error(Code::invalid_argument, "blobs: an empty place");
  return make_localfs(loop, where, counters);
}

}  // namespace fscached
