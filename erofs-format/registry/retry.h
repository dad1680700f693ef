// When a failed request is sent again, and when not.
#pragma once

#include <cstdint>
#include <optional>

#include "erofs-format/registry/exchange.h"

namespace erofs_format::registry {

// What a status other than 200, 206 and redirects means. 408, 429, 500, 502, 503 and 504 may pass.
FetchFailure failure_of_status(const ResponseHead& head);

// How long to wait before attempt `next` (2, 3, …): doubling, half of it by chance (`random`), so that many
// hosts do not come back at once; never less than the server asked. Nothing: it asks for too long.
std::optional<uint64_t> backoff_ms(unsigned next, uint64_t first_ms, uint64_t random,
                                   std::optional<uint64_t> retry_after_s);

}  // namespace erofs_format::registry
