#include "erofs-format/base/cipher.h"

#include <openssl/evp.h>

#include <memory>

namespace erofs_format {

namespace {

constexpr size_t kUnit = 16;
// Shorter inputs are padded to one unit, then marked: count in the unit's last byte, two magic bytes after.
constexpr size_t kPaddedSize = 18;
constexpr uint8_t kPaddingMagic[] = {0x78, 0x90};

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

}  // namespace

Result<void> decrypt_aes_128_xts(const CipherKey& key, MutableBytes bytes) {
  if (bytes.size() < kUnit || bytes.size() > INT32_MAX)
    return make_error(Code::corrupt, "encrypted data of " + std::to_string(bytes.size()) + " bytes");
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  bool done =
      context &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_128_xts(), nullptr, key.key.data(), key.iv.data()) == 1 &&
      EVP_DecryptUpdate(context.get(), bytes.data(), &size, bytes.data(), static_cast<int>(bytes.size())) ==
          1;
  if (!done || static_cast<size_t>(size) != bytes.size())
    return make_error(Code::corrupt, "AES-128-XTS refuses key or data");
  return {};
}

Result<size_t> decrypt_padded(const CipherKey& key, MutableBytes bytes) {
  TRY(decrypt_aes_128_xts(key, bytes));
  if (bytes.size() != kPaddedSize || std::memcmp(&bytes[kUnit], kPaddingMagic, sizeof(kPaddingMagic)) != 0)
    return bytes.size();
  if (bytes[kUnit - 1] >= kUnit) return make_error(Code::corrupt, "padding of encrypted data is damaged");
  return kUnit - bytes[kUnit - 1];
}

}  // namespace erofs_format
