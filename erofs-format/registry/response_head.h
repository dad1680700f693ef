// An HTTP response head, parsed strictly: what is not exactly right is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format::registry {

// "bytes 0-9/100", "bytes 0-9/*", "bytes */100"
struct ContentRange {
  struct Span {
    uint64_t first = 0;
    uint64_t last = 0;  // inclusive
  };
  std::optional<Span> span;
  std::optional<uint64_t> total;
};

struct ResponseHead {
  int status = 0;  // 100 … 599
  std::optional<uint64_t> content_length;
  std::optional<ContentRange> content_range;
  std::optional<uint64_t> retry_after_s;  // a date instead of seconds counts as absent
  std::string location;
  std::string content_type;             // without parameters
  std::string content_digest;           // Docker-Content-Digest
  std::vector<std::string> challenges;  // each WWW-Authenticate
  bool encoded = false;                 // a Content-Encoding other than identity
};

// `head` runs from the status line to the empty line that ends it, both included.
Result<ResponseHead> parse_response_head(ByteView head);

Result<ContentRange> parse_content_range(std::string_view value);

}  // namespace erofs_format::registry
