// A blob's id becomes a file name and part of URLs: only the exact form passes.
#pragma once

#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

inline Result<void> check_blob_id(std::string_view id) {
  if (id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos) return {};
  return make_error(Code::invalid_argument,
                    "blob '" + printable(id.substr(0, 80)) + "': not 64 lower-case hex digits");
}

}  // namespace fscached
