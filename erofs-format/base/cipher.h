// AES-128-XTS as RAFS uses it (nydus-rafs-v6.md 2.8).
#pragma once

#include <array>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

struct CipherKey {
  std::array<uint8_t, 32> key = {};
  std::array<uint8_t, 16> iv = {};
};
// A new key and IV from the system's random numbers.
Result<CipherKey> random_cipher_key();

// The least that can be encrypted as it is; shorter pieces are padded, to kCipherPaddedSize.
constexpr size_t kCipherUnit = 16;
constexpr size_t kCipherPaddedSize = kCipherUnit + 2;

// Encrypts in place; the size changes only where the piece was too short. Code::unsupported for the one piece
// that readers would take for a padded one.
Result<void> encrypt_padded(const CipherKey& key, Buffer& bytes);

// `bytes` decrypted in place, whole data unit, with key and IV of its blob.
Result<void> decrypt_aes_128_xts(const CipherKey& key, MutableBytes bytes);
// The same for pieces that were padded to 16 bytes because they were shorter: returns the true length.
Result<size_t> decrypt_padded(const CipherKey& key, MutableBytes bytes);

}  // namespace erofs_format
