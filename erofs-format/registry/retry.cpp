#include "erofs-format/registry/retry.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {

FetchFailure failure_of_status(const ResponseHead& head) {
  int status = head.status;
  Code code = status == 401 || status == 403   ? Code::auth
              : status == 404 || status == 410 ? Code::not_found
              : status == 408                  ? Code::timeout
              : status == 416                  ? Code::corrupt
                                               : Code::network;
  bool passes = status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
  std::string what = fmt::format("the server answered {}", status);
  if (status == 416 && head.content_range && head.content_range->total)
    what += fmt::format(": it has {} bytes", *head.content_range->total);
  return {make_error(code, std::move(what)), passes, head.retry_after_s};
}

std::optional<uint64_t> backoff_ms(unsigned next, uint64_t first_ms, uint64_t random,
                                   std::optional<uint64_t> retry_after_s) {
  if (retry_after_s && *retry_after_s > kMaxRetryAfterMs / 1000) return std::nullopt;
  uint64_t doubled = first_ms << std::min(next - 2, 16u);
  uint64_t half = std::min(doubled, kBackoffMaxMs) / 2;
  return std::max(half + random % (half + 1), retry_after_s.value_or(0) * 1000);
}

}  // namespace erofs_format::registry
