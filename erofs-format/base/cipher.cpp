#include "erofs-format/base/cipher.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <climits>
#include <memory>

namespace erofs_format {

namespace {

constexpr size_t kDataUnit = 16;
// A piece shorter than a data unit is filled up to one and marked with two more bytes.
constexpr size_t kPaddedSize = kDataUnit + 2;
constexpr uint8_t kPaddingMark[2] = {0x78, 0x90};

// Fetched once: OpenSSL 3 looks an algorithm up by name on every use otherwise.
const EVP_CIPHER* aes_128_xts() {
  static const EVP_CIPHER* method = EVP_CIPHER_fetch(nullptr, "AES-128-XTS", nullptr);
  return method;
}

}  // namespace

Result<void> decrypt_aes_128_xts(const CipherKey& key, MutableBytes bytes) {
  if (bytes.size() < kDataUnit || bytes.size() > INT_MAX)
    return make_error(Code::corrupt, fmt::format("aes-128-xts: {} bytes are not a data unit", bytes.size()));
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                          EVP_CIPHER_CTX_free);
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
  if (bytes.size() != kPaddedSize || std::memcmp(bytes.data() + kDataUnit, kPaddingMark, 2) != 0)
    return bytes.size();
  uint8_t padding = bytes[kDataUnit - 1];
  if (padding >= kDataUnit)
    return make_error(Code::corrupt, fmt::format("aes-128-xts: padding of {} bytes", padding));
  return kDataUnit - padding;
}

}  // namespace erofs_format
