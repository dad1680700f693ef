#include "fscached/kernel/cachefiles_wire.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "fscached/kernel/cachefiles_abi.h"

namespace fscached {

namespace {

Error corrupt(size_t byte, std::string_view what) {
  return make_error(Code::corrupt, fmt::format("cachefiles message: byte {}: {}", byte, what));
}

// A struct of the kernel's, copied out: the buffer need not be aligned.
template <typename T>
bool take(ByteView& bytes, T& into) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&into, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return true;
}

Result<void> parse_open(ByteView payload, CachefilesMessage& message) {
  abi::CachefilesOpen open;
  if (!take(payload, open)) return corrupt(8, "too short for an opening");
  if (open.fd > static_cast<uint32_t>(std::numeric_limits<int>::max()))
    return corrupt(24, "is no descriptor");
  // Known first: whoever handles the error must close it.
  message.fd = static_cast<int>(open.fd);
  if (open.volume_key_size == 0 || uint64_t{open.volume_key_size} + open.cookie_key_size != payload.size())
    return corrupt(16, "sizes of the keys do not add up");
  std::string_view volume = as_text(payload.first(open.volume_key_size));
  if (volume.find('\0') != volume.size() - 1) return corrupt(32, "volume key does not end at its end");
  message.volume_key = volume.substr(0, volume.size() - 1);
  message.cookie_key = as_text(payload.subspan(open.volume_key_size));
  return {};
}

Result<void> parse_read(ByteView payload, CachefilesMessage& message) {
  abi::CachefilesRead read;
  if (!take(payload, read) || !payload.empty()) return corrupt(8, "is not the length of a read");
  if (read.len == 0 || read.off + read.len < read.off) return corrupt(16, "range is empty or wraps");
  message.offset = read.off;
  message.count = read.len;
  return {};
}

}  // namespace

Result<void> parse_cachefiles_message(ByteView bytes, CachefilesMessage& message) {
  message = {};
  ByteView payload = bytes;
  abi::CachefilesHeader header;
  if (!take(payload, header)) return corrupt(0, "shorter than a header");
  message.id = header.msg_id;
  message.object = header.object_id;
  if (header.opcode == abi::kOpOpen) message.kind = CachefilesMessage::Kind::open;
  if (header.opcode == abi::kOpClose) message.kind = CachefilesMessage::Kind::close;
  if (header.opcode == abi::kOpRead) message.kind = CachefilesMessage::Kind::read;
  if (header.len != bytes.size()) return corrupt(8, "length is not what came");
  switch (message.kind) {
    case CachefilesMessage::Kind::open: return parse_open(payload, message);
    case CachefilesMessage::Kind::read: return parse_read(payload, message);
    case CachefilesMessage::Kind::close:
      if (!payload.empty()) return corrupt(8, "is not the length of a closing");
      return {};
    case CachefilesMessage::Kind::unknown: break;
  }
  return corrupt(4, fmt::format("unknown kind {}", header.opcode));
}

}  // namespace fscached
