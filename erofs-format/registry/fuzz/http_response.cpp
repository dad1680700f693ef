// Response heads as a hostile server may send them. What is accepted must be what a
// second, slower reading of the same bytes finds.
#include <cstdlib>
#include <string>

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/response_head.h"

using namespace erofs_format;
using namespace erofs_format::registry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Result<ResponseHead> head = parse_response_head({data, size});
  if (!head) {
    if (head.error().message.empty()) std::abort();
    return 0;
  }
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find('\0') != std::string::npos || text.size() > kMaxResponseHeadBytes) std::abort();
  if (text.find("\r\n\r\n") + 4 != text.size() || text.compare(0, 7, "HTTP/1.") != 0) std::abort();
  if (std::to_string(head->status) != text.substr(9, 3)) std::abort();
  if (head->challenges.size() > kMaxResponseHeaders) std::abort();
  for (const std::string& challenge : head->challenges)
    if (text.find(challenge) == std::string::npos) std::abort();
  if (head->content_range && head->content_range->span) {
    const ContentRange::Span& span = *head->content_range->span;
    if (span.first > span.last) std::abort();
    if (head->content_range->total && span.last >= *head->content_range->total) std::abort();
  }
  return 0;
}
