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

void add_bytes(Buffer& file, const void* bytes, size_t size) {
  const auto* first = static_cast<const uint8_t*>(bytes);
  file.insert(file.end(), first, first + size);
}

void add_entry(Buffer& file, const PresenceEntry& entry) {
  journal_entry stored = {};
  stored.chunk = entry.chunk;
  std::memcpy(stored.digest, entry.digest.bytes.data(), sizeof(stored.digest));
  add_bytes(file, &stored, sizeof(stored));
}

void add_record(Buffer& file, std::span<const PresenceEntry> entries, uint32_t flags) {
  record_header header = {};
  header.flags = flags;
  header.entry_count = narrow<uint32_t>(entries.size());
  size_t at = file.size();
  add_bytes(file, &header, sizeof(header));
  for (const PresenceEntry& entry : entries) add_entry(file, entry);
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

void apply(ByteView record, size_t chunk_limit, Presence& presence) {
  presence.clean = (struct_at<record_header>(record, 0)->flags & kClean) != 0;
  for (size_t at = sizeof(record_header); at < record.size(); at += sizeof(journal_entry)) {
    const auto* entry = struct_at<journal_entry>(record, at);
    if (entry->chunk >= chunk_limit) continue;
    if (entry->chunk >= presence.digests.size()) presence.digests.resize(entry->chunk + 1);
    std::memcpy(presence.digests[entry->chunk].bytes.data(), entry->digest, sizeof(Digest));
  }
}

std::vector<PresenceEntry> entries_of(const Presence& presence) {
  std::vector<PresenceEntry> entries;
  for (uint32_t i = 0; i < presence.digests.size(); i++)
    if (!presence.digests[i].is_zero()) entries.push_back({i, presence.digests[i]});
  return entries;
}

}  // namespace

Buffer encode_presence(const Presence& presence) {
  journal_header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.file_size = presence.file_size;
  Digest sum = sha256({reinterpret_cast<const uint8_t*>(&header), offsetof(journal_header, sha256)});
  std::memcpy(header.sha256, sum.bytes.data(), sum.bytes.size());
  Buffer file;
  add_bytes(file, &header, sizeof(header));
  add_records(file, entries_of(presence), presence.clean ? kClean : 0);
  return file;
}

Buffer encode_entries(std::span<const PresenceEntry> entries) {
  Buffer records;
  add_records(records, entries, 0);
  return records;
}

Result<Presence> decode_presence(ByteView bytes, const std::string& name, size_t chunk_limit) {
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
  for (ByteView record; !(record = take_record(rest)).empty();) apply(record, chunk_limit, presence);
  if (!rest.empty()) presence.clean = false;
  auto present = static_cast<size_t>(std::count_if(presence.digests.begin(), presence.digests.end(),
                                                   [](const Digest& digest) { return !digest.is_zero(); }));
  presence.extendable = rest.empty() && bytes.size() / sizeof(journal_entry) <= 2 * present + kPresenceSlack;
  return presence;
}

std::optional<Presence> load_presence(const std::string& path, size_t chunk_limit) {
  auto bytes = os::read_file(path, kMaxPresenceBytes);
  auto presence =
      bytes ? decode_presence(*bytes, path, chunk_limit) : Result<Presence>(std::move(bytes).error());
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
