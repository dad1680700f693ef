// Redirects are followed by hand: each step is judged here, and never carries a credential.
#pragma once

#include <string_view>

#include "erofs-format/registry/reach.h"
#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

// 301, 302, 303, 307 and 308; a GET stays a GET with all of them.
constexpr bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Where to go from `from`, whose server is at `reach`. Refused: other schemes, from https to http,
// an address that is nearer than the server itself. A host name is judged again when it is resolved.
Result<Url> redirect_target(const Url& from, Reach reach, std::string_view location);

}  // namespace erofs_format::registry
