// Blobs as files named by their ids in a directory.
#pragma once

#include <string>

#include "fscached/storage/storage.h"

namespace fscached {

std::unique_ptr<Storage> make_localfs(Loop& loop, std::string directory, StorageCounters& counters,
                                      OpenElsewhere open_elsewhere);

}  // namespace fscached
