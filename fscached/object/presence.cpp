#include "fscached/object/presence.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/endian.h"
#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "fscached/limits.h"

namespace fscached {

namespace {

constexpr char kMagic[8] = {'F', 'S', 'C', 'P', 'R', 'E', 'S', '2'};
constexpr uint32_t kClean = 1;

struct journal_header {
  uint8_t magic[8];
  le64 file_size;
  uint8_t sha256[32];  // of the fields before
};
static_assert(sizeof(journal_header) == 48 && alignof(journal_header) == 1);

// Then its entries.
struct record_header {
  uint8_t sha256[32];  // of everything of the record behind it
  le32 flags;
  le32 entry_count;
};
static_assert(sizeof(record_header) == 40 && alignof(record_header) == 1);

struct journal_entry {
  le32 chunk;
  uint8_t digest[32];
};
static_assert(sizeof(journal_entry) == 36 && alignof(journal_entry) == 1);

void add_record(Buffer& file, std::span<const PresenceEntry> entries, uint32_t flags) {
  record_header header = {};
  header.flags = flags;
  header.entry_count = narrow<uint32_t>(entries.size());
  size_t at = file.size();
  append(file, bytes_of(header));
  for (const PresenceEntry& entry : entries) {
    append(file, bytes_of(le32(entry.chunk)));
    append(file, entry.digest.bytes);
  }
  Digest sum = sha256(ByteView(file).subspan(at + sizeof(header.sha256)));
  std::memcpy(file.data() + at, sum.bytes.data(), sum.bytes.size());
}

// All in records of a bounded size: what is damaged later takes only what lies behind it along.
void add_records(Buffer& file, std::span<const PresenceEntry> entries, uint32_t last_flags) {
  while (entries.size() > kPresenceRecordEntries) {
    add_record(file, entries.first(kPresenceRecordEntries), 0);
    entries = entries.subspan(kPresenceRecordEntries);
  }
  add_record(file, entries, last_flags);
}

bool is_right(ByteView bytes, const uint8_t (&sum)[32]) {
  return std::memcmp(sha256(bytes).bytes.data(), sum, sizeof(sum)) == 0;
}

// The next whole record of `rest`, or nothing; its bytes are taken off.
ByteView take_record(ByteView& rest) {
  const auto* header = struct_at<record_header>(rest, 0);
  if (!header) return {};
  uint64_t size = sizeof(*header) + uint64_t{header->entry_count} * sizeof(journal_entry);
  if (size > rest.size()) return {};
  ByteView record = rest.first(size);
  if (!is_right(record.subspan(sizeof(header->sha256)), header->sha256)) return {};
  rest = rest.subspan(size);
  return record;
}

bool apply(ByteView record, Presence& presence) {
  const auto* header = struct_at<record_header>(record, 0);
  presence.clean = (header->flags & kClean) != 0;
  for (const journal_entry& entry : structs_at<journal_entry>(record, sizeof(*header), header->entry_count)) {
    if (entry.chunk >= kMaxBlobChunks) return false;
    PresenceEntry& added = presence.chunks.emplace_back();
    added.chunk = entry.chunk;
    std::memcpy(added.digest.bytes.data(), entry.digest, sizeof(entry.digest));
  }
  return true;
}

// Of what was written one after the other, what holds: the last word on each chunk.
void keep_latest(std::vector<PresenceEntry>& entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const PresenceEntry& a, const PresenceEntry& b) { return a.chunk < b.chunk; });
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); i++) {
    bool last = i + 1 == entries.size() || entries[i + 1].chunk != entries[i].chunk;
    if (last && !entries[i].digest.is_zero()) entries[kept++] = entries[i];
  }
  entries.resize(kept);
}

}  // namespace

Buffer encode_presence(const Presence& presence) {
  journal_header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.file_size = presence.file_size;
  Digest sum = sha256(bytes_of(header).first(offsetof(journal_header, sha256)));
  std::memcpy(header.sha256, sum.bytes.data(), sum.bytes.size());
  Buffer file;
  append(file, bytes_of(header));
  add_records(file, presence.chunks, presence.clean ? kClean : 0);
  return file;
}

Buffer encode_entries(std::span<const PresenceEntry> entries) {
  Buffer records;
  add_records(records, entries, 0);
  return records;
}

Result<Presence> decode_presence(ByteView bytes, const std::string& name) {
  auto corrupt = [&](std::string_view what) {
    return make_error(Code::corrupt, fmt::format("{}: {}", name, what));
  };
  const auto* header = struct_at<journal_header>(bytes, 0);
  if (!header || std::memcmp(header->magic, kMagic, sizeof(kMagic)) != 0)
    return corrupt("byte 0: is no presence journal of this version");
  if (!is_right(bytes.first(offsetof(journal_header, sha256)), header->sha256))
    return corrupt("byte 16: checksum does not match");
  Presence presence;
  presence.file_size = header->file_size;
  ByteView rest = bytes.subspan(sizeof(*header));
  for (ByteView record; !(record = take_record(rest)).empty();)
    if (!apply(record, presence)) return corrupt("names a chunk no blob can have");
  if (!rest.empty()) presence.clean = false;
  keep_latest(presence.chunks);
  presence.extendable =
      rest.empty() && bytes.size() / sizeof(journal_entry) <= 2 * presence.chunks.size() + kPresenceSlack;
  return presence;
}

std::optional<Presence> load_presence(const std::string& path) {
  auto bytes = os::read_file(path, kMaxPresenceBytes);
  auto presence = bytes ? decode_presence(*bytes, path) : Result<Presence>(std::move(bytes).error());
  if (presence) return std::move(*presence);
  if (presence.error().code != Code::not_found) log_line(LogLevel::error, "object", presence.error().message);
  return std::nullopt;
}

Result<void> write_presence(const std::string& path, const Presence& presence) {
  return os::publish_file(path, encode_presence(presence), 0600);
}

Result<void> extend_presence(const std::string& path, std::span<const PresenceEntry> entries) {
  TRY_ASSIGN(os::UniqueFd file, os::open(path, O_WRONLY | O_APPEND | O_NOFOLLOW));
  TRY(os::write_all(file.get(), encode_entries(entries), path));
  if (fdatasync(file.get()) != 0) return errno_error(path);
  return {};
}

}  // namespace fscached
