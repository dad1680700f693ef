// Several servers that have the same blobs: the first that works is asked.
#pragma once

#include <memory>
#include <vector>

#include "fscached/storage/storage.h"

namespace fscached {

// How long a server that failed is left alone: doubled with each failure in a row.
inline constexpr uint64_t kShunFirstMs = 10'000;
inline constexpr uint64_t kShunMaxMs = 5 * 60'000;

// `places` in the order in which they are asked, the last is the origin: it is asked whatever it said before,
// and its error is the read's. A server without the blob is no failing one.
std::unique_ptr<Storage> make_mirrored_storage(Loop& loop, std::vector<std::unique_ptr<Storage>> places);

}  // namespace fscached
