#include "fscached/kernel/fanotify_wire.h"

#include <fmt/format.h>

#include "fscached/kernel/fanotify_abi.h"

namespace fscached {

namespace {

// Host order, and the caller has checked that it lies inside.
template <typename T>
T load(ByteView bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Error corrupt(size_t offset, std::string_view what) {
  return make_error(Code::corrupt, fmt::format("fanotify: byte {}: {}", offset, what));
}

Result<void> parse_infos(ByteView record, size_t start, size_t base, FanotifyEvent& event) {
  for (size_t at = start; at < record.size();) {
    if (record.size() - at < sizeof(abi::InfoHeader)) return corrupt(base + at, "information record is cut");
    auto header = load<abi::InfoHeader>(record, at);
    if (header.len < sizeof(header) || header.len > record.size() - at)
      return corrupt(base + at, fmt::format("information record of {} bytes", header.len));
    if (header.info_type == abi::kFanInfoTypeRange) {
      if (header.len < sizeof(abi::InfoRange)) return corrupt(base + at, "range record is too short");
      auto range = load<abi::InfoRange>(record, at);
      uint64_t end = 0;
      if (!checked_add(range.offset, range.count, &end)) return corrupt(base + at, "range wraps around");
      event.offset = range.offset;
      event.count = range.count;
    }
    at += header.len;
  }
  return {};
}

Result<FanotifyEvent> parse_record(ByteView record, size_t base) {
  auto metadata = load<abi::EventMetadata>(record, 0);
  if (metadata.vers != abi::kFanMetadataVersion)
    return corrupt(base, fmt::format("metadata version {}", metadata.vers));
  if (metadata.metadata_len < sizeof(metadata) || metadata.metadata_len > record.size())
    return corrupt(base, fmt::format("metadata of {} bytes", metadata.metadata_len));
  FanotifyEvent event;
  event.number = metadata.fd;
  event.pid = metadata.pid;
  event.overflow = (metadata.mask & FAN_Q_OVERFLOW) != 0;
  event.permission = (metadata.mask & abi::kFanPreAccess) != 0 && metadata.fd >= 0;
  TRY(parse_infos(record, metadata.metadata_len, base, event));
  return event;
}

}  // namespace

Result<void> parse_fanotify_events(ByteView bytes, std::vector<FanotifyEvent>& events) {
  for (size_t at = 0; at < bytes.size();) {
    if (bytes.size() - at < sizeof(uint32_t)) return corrupt(at, "record is cut");
    auto length = load<uint32_t>(bytes, at);
    if (length == 0) return {};
    if (length < sizeof(abi::EventMetadata) || length > bytes.size() - at)
      return corrupt(at, fmt::format("record of {} bytes", length));
    TRY_ASSIGN(FanotifyEvent event, parse_record(bytes.subspan(at, length), at));
    events.push_back(event);
    at += length;
  }
  return {};
}

}  // namespace fscached
