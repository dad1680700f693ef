#include "erofs-format/base/digest.h"

#include <openssl/evp.h>

#include "erofs-format/base/blake3.h"

namespace erofs_format {

namespace {

// Fetched once: OpenSSL 3 looks an algorithm up by name on every use otherwise.
const EVP_MD* sha256_method() {
  static const EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return method;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

Result<Digest> digest_from_hex(std::string_view hex) {
  Digest digest;
  bool good = hex.size() == 2 * digest.bytes.size();
  for (size_t i = 0; good && i < digest.bytes.size(); i++) {
    int high = hex_value(hex[2 * i]);
    int low = hex_value(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (!good) return make_error(Code::corrupt, "'" + printable(hex) + "' is not a digest of 64 hex digits");
  return digest;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, sha256_method(), nullptr);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) { EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()); }

Digest Sha256::digest() const {
  // Finished on a copy, so that more may follow.
  State copy;
  EVP_MD_CTX_copy_ex(copy.context, state_->context);
  Digest digest;
  EVP_DigestFinal_ex(copy.context, digest.bytes.data(), nullptr);
  return digest;
}

Digest sha256(ByteView bytes) {
  Digest digest;
  EVP_Digest(bytes.data(), bytes.size(), digest.bytes.data(), nullptr, sha256_method(), nullptr);
  return digest;
}

Digest digest_of(Digester digester, ByteView bytes) {
  return digester == Digester::sha256 ? sha256(bytes) : blake3(bytes);
}

}  // namespace erofs_format
