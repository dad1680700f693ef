#include "fscached/kernel/cachefiles_names.h"

#include <fmt/format.h>

#include <bit>

#include "erofs-format/base/bytes.h"
#include "fscached/keeper/wire.h"

namespace fscached {

namespace {

constexpr uint32_t kGoldenRatio = 0x61c88647;

// Little-endian words of `text`, the last one filled up with zeros to `size` bytes.
uint32_t kernel_hash(uint32_t salt, std::string_view text, size_t size) {
  uint32_t x = 0, y = salt;
  for (size_t i = 0; i < size; i += 4) {
    uint32_t word = 0;
    for (size_t j = 0; j < 4 && i + j < text.size(); j++)
      word |= static_cast<uint32_t>(static_cast<uint8_t>(text[i + j])) << (8 * j);
    x ^= word;
    y ^= x;
    x = std::rotl(x, 7);
    x += y;
    y = std::rotl(y, 20);
    y *= 9;
  }
  return (y ^ (x * kGoldenRatio)) * kGoldenRatio;
}

}  // namespace

Result<void> check_cookie_word(std::string_view what, std::string_view word) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:";
  if (word.empty() || word.size() > keeper::kMaxCookieName ||
      word.find_first_not_of(kAllowed) != std::string_view::npos)
    return make_error(Code::invalid_argument,
                      fmt::format("{} '{}': wanted are 1 to {} letters, digits or . _ - + @ :", what,
                                  printable(word.substr(0, 80)), keeper::kMaxCookieName));
  return {};
}

std::string volume_key(std::string_view fsid, std::string_view domain) {
  return fmt::format("erofs,{}", domain.empty() ? fsid : domain);
}

std::string sysfs_name(std::string_view fsid, std::string_view domain) {
  constexpr size_t kLength = 36;
  return (domain.empty() ? std::string(fsid) : fmt::format("{},{}", domain, fsid)).substr(0, kLength);
}

CookiePlace place_of(const CookieName& name) {
  // The kernel keeps the volume's key with its length in front and a NUL behind.
  std::string counted = static_cast<char>(name.volume.size()) + name.volume;
  uint32_t volume_hash = kernel_hash(0, counted, align_up(counted.size() + 1, 4));
  uint32_t hash = kernel_hash(volume_hash, name.cookie, align_up(name.cookie.size(), 4));
  return {fmt::format("cache/I{}/@{:02x}", name.volume, hash & 0xff), "D" + name.cookie};
}

}  // namespace fscached
