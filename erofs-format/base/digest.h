// SHA-256 (OpenSSL) and BLAKE3 (our own, see blake3.h).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

// Chunk digest algorithm; values are those of the RAFS blob table.
enum class Digester : uint32_t { blake3 = 0, sha256 = 1 };

struct Digest {
  std::array<uint8_t, 32> bytes = {};
  auto operator<=>(const Digest&) const = default;
  bool is_zero() const { return *this == Digest{}; }
};
static_assert(sizeof(Digest) == 32 && alignof(Digest) == 1);

std::string to_hex(ByteView bytes);
inline std::string to_hex(const Digest& digest) { return to_hex(ByteView(digest.bytes)); }
// Exactly 64 lower- or upper-case hex digits.
Result<Digest> digest_from_hex(std::string_view hex);

Digest sha256(ByteView bytes);
Digest digest_of(Digester digester, ByteView bytes);

// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(ByteView bytes);
  // The digest of all bytes so far; more may follow.
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace erofs_format
