#include "fscached/object/presence.h"

#include <fmt/format.h>

#include "erofs-format/base/endian.h"
#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "fscached/limits.h"

namespace fscached {

namespace {

constexpr char kMagic[8] = {'F', 'S', 'C', 'P', 'R', 'E', 'S', '1'};
constexpr uint32_t kClean = 1;

// Then one bit for each chunk, then the digests of the present ones.
struct presence_header {
  uint8_t magic[8];
  le32 flags;
  le32 chunk_count;
  le64 file_size;
  uint8_t sha256[32];  // of all other bytes
};
static_assert(sizeof(presence_header) == 56 && alignof(presence_header) == 1);
constexpr size_t kChecksumOffset = 24;

Digest checksum_of(ByteView file) {
  Sha256 hash;
  hash.update(file.first(kChecksumOffset));
  hash.update(file.subspan(sizeof(presence_header)));
  return hash.digest();
}

bool bit(ByteView bits, size_t index) { return (bits[index / 8] >> (index % 8) & 1) != 0; }

}  // namespace

Buffer encode_presence(const Presence& presence) {
  presence_header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.flags = presence.clean ? kClean : 0;
  header.chunk_count = narrow<uint32_t>(presence.digests.size());
  header.file_size = presence.file_size;
  Buffer file(sizeof(header) + div_up(presence.digests.size(), 8));
  for (size_t i = 0; i < presence.digests.size(); i++) {
    if (presence.digests[i].is_zero()) continue;
    file[sizeof(header) + i / 8] |= static_cast<uint8_t>(1 << (i % 8));
    file.insert(file.end(), presence.digests[i].bytes.begin(), presence.digests[i].bytes.end());
  }
  std::memcpy(file.data(), &header, sizeof(header));
  Digest sum = checksum_of(file);
  std::memcpy(file.data() + kChecksumOffset, sum.bytes.data(), sum.bytes.size());
  return file;
}

Result<Presence> decode_presence(ByteView bytes, const std::string& name) {
  auto corrupt = [&](std::string_view what) {
    return make_error(Code::corrupt, fmt::format("{}: {}", name, what));
  };
  const auto* header = struct_at<presence_header>(bytes, 0);
  if (!header || std::memcmp(header->magic, kMagic, sizeof(kMagic)) != 0)
    return corrupt("byte 0: is no presence file of this version");
  Digest sum = checksum_of(bytes);
  if (std::memcmp(header->sha256, sum.bytes.data(), sum.bytes.size()) != 0)
    return corrupt("byte 24: checksum does not match");
  size_t count = header->chunk_count;
  if (count > kMaxBlobChunks) return corrupt("byte 12: more chunks than a blob can have");
  size_t bits = div_up(count, 8);
  if (bits > bytes.size() - sizeof(*header)) return corrupt("byte 12: more chunks than bits");
  ByteView map = bytes.subspan(sizeof(*header), bits);
  ByteView rest = bytes.subspan(sizeof(*header) + bits);
  Presence presence;
  presence.clean = (header->flags & kClean) != 0;
  presence.file_size = header->file_size;
  presence.digests.resize(count);
  for (size_t i = 0; i < count; i++) {
    if (!bit(map, i)) continue;
    if (rest.size() < sizeof(Digest)) return corrupt("fewer digests than present chunks");
    std::memcpy(presence.digests[i].bytes.data(), rest.data(), sizeof(Digest));
    rest = rest.subspan(sizeof(Digest));
  }
  if (!rest.empty()) return corrupt("more digests than present chunks");
  return presence;
}

std::optional<Presence> load_presence(const std::string& path) {
  auto bytes = os::read_file(path, kMaxPresenceBytes);
  auto presence = bytes ? decode_presence(*bytes, path) : Result<Presence>(std::move(bytes).error());
  if (presence) return std::move(*presence);
  if (presence.error().code != Code::not_found) log_line(LogLevel::error, "object", presence.error().message);
  return std::nullopt;
}

}  // namespace fscached
