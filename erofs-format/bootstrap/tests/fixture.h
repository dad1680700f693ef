// Small images of other writers (mkfs/tests/fixtures), found from the top of the source tree.
#pragma once

#include <doctest/doctest.h>

#include "erofs-format/base/os.h"

namespace erofs_format::testing {

inline Buffer read_fixture(const std::string& name) {
  auto bytes = os::read_file("mkfs/tests/fixtures/" + name, 1 << 20);
  REQUIRE_MESSAGE(bytes, "run from the top of the source tree: " << (bytes ? "" : bytes.error().message));
  return std::move(*bytes);
}

}  // namespace erofs_format::testing
