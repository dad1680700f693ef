#include "erofs-format/base/blake3.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "erofs-format/base/blake3_impl.h"

using namespace erofs_format;

namespace {

// The input of the official test vectors: 0, 1, … 250, 0, 1, …
Buffer pattern(size_t size) {
  Buffer bytes(size);
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(i % 251);
  return bytes;
}

}  // namespace

TEST_CASE(
    "every BLAKE3 kernel agrees with the portable one at every length to 20,000, every 37th to 70,000") {
  auto kernels = blake3_impl::kernels();
  Buffer bytes = pattern(70000);
  for (size_t size = 0; size <= bytes.size(); size += size < 20000 ? 1 : 37) {
    ByteView input = ByteView(bytes).first(size);
    Digest expected = blake3_impl::hash(input, kernels.last(1));
    for (size_t i = 0; i + 1 < kernels.size(); i++) {
      INFO(kernels[i].name, " at length ", size);
      REQUIRE(blake3_impl::hash(input, kernels.subspan(i)) == expected);
    }
  }
}

TEST_CASE("every BLAKE3 kernel agrees on long random inputs") {
  auto kernels = blake3_impl::kernels();
  constexpr unsigned kSeed = 7;
  INFO("seed ", kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 12; round++) {
    Buffer bytes(random() % 4000000);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    Digest expected = blake3_impl::hash(bytes, kernels.last(1));
    for (size_t i = 0; i + 1 < kernels.size(); i++) {
      INFO(kernels[i].name, " at length ", bytes.size());
      CHECK(blake3_impl::hash(bytes, kernels.subspan(i)) == expected);
    }
  }
}

TEST_CASE("the widest kernel is the one used") {
  CHECK(blake3_impl::kernels().front().name == std::string(blake3_implementation()));
  CHECK(blake3_impl::kernels().back().name == std::string("portable"));
}
