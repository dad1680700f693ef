// Gives 100-blake3-b3sum the digests it compares with b3sum.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "erofs-format/base/blake3_impl.h"

using namespace erofs_format;

// $BLAKE3_INPUT is hashed at each length of $BLAKE3_LENGTHS (one a line), by every kernel of this
// processor; $BLAKE3_DIGESTS receives "KERNEL LENGTH DIGEST" lines. Without them there is nothing to do.
TEST_CASE("blake3 digests for comparison with b3sum") {
  const char* input_path = std::getenv("BLAKE3_INPUT");
  const char* lengths_path = std::getenv("BLAKE3_LENGTHS");
  const char* digests_path = std::getenv("BLAKE3_DIGESTS");
  if (!input_path || !lengths_path || !digests_path) return;
  std::ifstream input_file(input_path, std::ios::binary);
  Buffer input((std::istreambuf_iterator<char>(input_file)), std::istreambuf_iterator<char>());
  std::ifstream lengths(lengths_path);
  std::ofstream digests(digests_path);
  auto kernels = blake3_impl::kernels();
  for (size_t length; lengths >> length;) {
    REQUIRE(length <= input.size());
    for (size_t i = 0; i < kernels.size(); i++)
      digests << kernels[i].name << ' ' << length << ' '
              << to_hex(blake3_impl::hash(ByteView(input).first(length), kernels.subspan(i))) << '\n';
  }
  CHECK(digests.good());
}
