#include "erofs-format/base/cipher.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <climits>
#include <memory>

namespace erofs_format {

namespace {

// Follow a piece that was filled up to a unit.
constexpr uint8_t kPaddingMark[2] = {0x78, 0x90};

// Fetched once: OpenSSL 3 looks an algorithm up by name on every use otherwise.
const EVP_CIPHER* aes_128_xts() {
  static const EVP_CIPHER* method = EVP_CIPHER_fetch(nullptr, "AES-128-XTS", nullptr);
  return method;
}

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

bool is_marked(ByteView bytes) {
  return bytes.size() == kCipherPaddedSize &&
         std::memcmp(bytes.data() + kCipherUnit, kPaddingMark, sizeof kPaddingMark) == 0;
}

// With the number of bytes that were missing, as many times.
void pad(Buffer& bytes) {
  bytes.resize(kCipherUnit, static_cast<uint8_t>(kCipherUnit - bytes.size()));
  append(bytes, ByteView(kPaddingMark));
}

}  // namespace

Result<CipherKey> random_cipher_key() {
  CipherKey key;
  Buffer bytes(key.key.size() + key.iv.size());
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return errno_error("random numbers");
  std::memcpy(key.key.data(), bytes.data(), key.key.size());
  std::memcpy(key.iv.data(), bytes.data() + key.key.size(), key.iv.size());
  return key;
}

Result<void> encrypt_padded(const CipherKey& key, Buffer& bytes) {
  if (is_marked(bytes))
    return make_error(Code::unsupported,
                      "aes-128-xts: 18 bytes that end as padded ones do cannot be told from them");
  if (bytes.size() < kCipherUnit) pad(bytes);
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  auto size = narrow<int>(bytes.size());
  int done = 0;
  if (!context ||
      EVP_EncryptInit_ex2(context.get(), aes_128_xts(), key.key.data(), key.iv.data(), nullptr) != 1 ||
      EVP_EncryptUpdate(context.get(), bytes.data(), &done, bytes.data(), size) != 1 || done != size)
    return make_error(Code::internal, "aes-128-xts: cannot encrypt");
  return {};
}

Result<void> decrypt_aes_128_xts(const CipherKey& key, MutableBytes bytes) {
  if (bytes.size() < kCipherUnit || bytes.size() > INT_MAX)
    return make_error(Code::corrupt, fmt::format("aes-128-xts: {} bytes are not a data unit", bytes.size()));
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  // OpenSSL refuses keys whose halves are equal; foreign images can hold one.
  if (!context ||
      EVP_DecryptInit_ex2(context.get(), aes_128_xts(), key.key.data(), key.iv.data(), nullptr) != 1)
    return make_error(Code::corrupt, "aes-128-xts: the key is not usable");
  int size = static_cast<int>(bytes.size());
  int done = 0;
  if (EVP_DecryptUpdate(context.get(), bytes.data(), &done, bytes.data(), size) != 1 || done != size)
    return make_error(Code::internal, "aes-128-xts: cannot decrypt");
  return {};
}

Result<size_t> decrypt_padded(const CipherKey& key, MutableBytes bytes) {
  TRY(decrypt_aes_128_xts(key, bytes));
  if (!is_marked(bytes)) return bytes.size();
  uint8_t padding = bytes[kCipherUnit - 1];
  if (padding >= kCipherUnit)
    return make_error(Code::corrupt, fmt::format("aes-128-xts: padding of {} bytes", padding));
  return kCipherUnit - padding;
}

}  // namespace erofs_format
