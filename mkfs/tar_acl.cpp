#include "mkfs/tar_acl.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/endian.h"
#include "mkfs/tar_limits.h"
#include "mkfs/tar_number.h"

namespace mkfs {
namespace {

// linux/posix_acl.h and linux/posix_acl_xattr.h.
constexpr uint16_t kUserObj = 0x01;
constexpr uint16_t kUser = 0x02;
constexpr uint16_t kGroupObj = 0x04;
constexpr uint16_t kGroup = 0x08;
constexpr uint16_t kMask = 0x10;
constexpr uint16_t kOther = 0x20;
constexpr uint16_t kRwx = 7;
constexpr uint32_t kUndefinedId = UINT32_MAX;
constexpr uint32_t kXattrVersion = 2;

struct AclEntry {
  uint16_t tag = 0;
  uint16_t permissions = 0;
  uint32_t id = kUndefinedId;
};

struct AclXattrEntry {
  le16 tag;
  le16 permissions;
  le32 id;
};
static_assert(sizeof(AclXattrEntry) == 8);

Error acl_error(std::string_view entry, std::string_view why) {
  return make_error(Code::corrupt,
                    fmt::format("ACL entry \"{}\" {}", printable(entry.substr(0, kTarMaxShownPath)), why));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<uint32_t> user_id(const std::string& name) {
  passwd entry;
  passwd* found = nullptr;
  std::vector<char> space(16384);
  if (getpwnam_r(name.c_str(), &entry, space.data(), space.size(), &found) != 0 || !found) return {};
  return found->pw_uid;
}

std::optional<uint32_t> group_id(const std::string& name) {
  group entry;
  group* found = nullptr;
  std::vector<char> space(65536);
  if (getgrnam_r(name.c_str(), &entry, space.data(), space.size(), &found) != 0 || !found) return {};
  return found->gr_gid;
}

Result<uint16_t> parse_permissions(std::string_view entry, std::string_view text) {
  uint16_t bits = 0;
  for (char c : text) {
    if (c == 'r') {
      bits |= 4;
    } else if (c == 'w') {
      bits |= 2;
    } else if (c == 'x') {
      bits |= 1;
    } else if (c != '-') {
      return acl_error(entry, "has unknown permissions");
    }
  }
  return bits;
}

// `number` is the fourth field, which star and libarchive add.
Result<uint32_t> parse_id(std::string_view entry, uint16_t tag, std::string_view name,
                          std::string_view number) {
  for (std::string_view text : {number, name}) {
    if (Result<uint64_t> id = parse_decimal(text, kUndefinedId - 1)) return static_cast<uint32_t>(*id);
  }
  std::string key(name);
  std::optional<uint32_t> id = tag == kUser ? user_id(key) : group_id(key);
  if (!id) return acl_error(entry, "names nobody known here, and has no number");
  return *id;
}

Result<uint16_t> parse_tag(std::string_view entry, std::string_view kind, bool named) {
  if (kind == "user" || kind == "u") return named ? kUser : kUserObj;
  if (kind == "group" || kind == "g") return named ? kGroup : kGroupObj;
  if ((kind == "mask" || kind == "m") && !named) return kMask;
  if ((kind == "other" || kind == "o") && !named) return kOther;
  return acl_error(entry, "has an unknown kind");
}

struct AclFields {
  std::array<std::string_view, 4> field;
  size_t count = 0;
};

AclFields split_fields(std::string_view text) {
  AclFields out;
  if (text.starts_with("default:")) text.remove_prefix(8);
  while (out.count < out.field.size()) {
    size_t colon = text.find(':');
    out.field[out.count++] = trimmed(text.substr(0, colon));
    if (colon == std::string_view::npos) return out;
    text.remove_prefix(colon + 1);
  }
  return out;
}

Result<AclEntry> parse_entry(std::string_view text) {
  AclFields fields = split_fields(text);
  // Solaris and libarchive write "mask:rwx" and "other:rwx" with one colon.
  if (fields.count == 2) {
    fields.field[2] = fields.field[1];
    fields.field[1] = {};
  } else if (fields.count < 3) {
    return acl_error(text, "has too few fields");
  }
  auto [kind, name, permissions, number] = fields.field;
  AclEntry entry;
  bool named = !name.empty() || !number.empty();
  TRY_ASSIGN(entry.tag, parse_tag(text, kind, named));
  TRY_ASSIGN(entry.permissions, parse_permissions(text, permissions));
  if (named) {
    TRY_ASSIGN(entry.id, parse_id(text, entry.tag, name, number));
  }
  return entry;
}

Result<std::vector<AclEntry>> parse_entries(std::string_view text) {
  std::vector<AclEntry> entries;
  while (!text.empty()) {
    size_t end = text.find_first_of(",\n");
    std::string_view item = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    item = trimmed(item.substr(0, item.find('#')));
    if (item.empty()) continue;
    if (entries.size() >= kTarMaxAclEntries) {
      return make_error(Code::too_large, fmt::format("ACL has more than {} entries", kTarMaxAclEntries));
    }
    TRY_ASSIGN(AclEntry entry, parse_entry(item));
    entries.push_back(entry);
  }
  return entries;
}

// The order and the rules of the kernel's posix_acl_valid().
Result<void> sort_and_validate(std::vector<AclEntry>& entries) {
  auto key = [](const AclEntry& e) { return std::pair(e.tag, e.id); };
  std::sort(entries.begin(), entries.end(),
            [&](const AclEntry& a, const AclEntry& b) { return key(a) < key(b); });
  bool named = false;
  unsigned seen = 0;
  for (size_t i = 0; i < entries.size(); i++) {
    if (i > 0 && key(entries[i]) == key(entries[i - 1])) {
      return make_error(Code::corrupt, "ACL has an entry twice");
    }
    named |= entries[i].tag == kUser || entries[i].tag == kGroup;
    seen |= entries[i].tag;
  }
  unsigned needed = unsigned{kUserObj} | kGroupObj | kOther | (named ? kMask : 0u);
  if ((seen & needed) != needed) return make_error(Code::corrupt, "ACL lacks a needed entry");
  return {};
}

std::string to_xattr(const std::vector<AclEntry>& entries) {
  le32 version;
  version = kXattrVersion;
  std::string out(as_text(bytes_of(version)));
  for (const AclEntry& entry : entries) {
    AclXattrEntry stored;
    stored.tag = entry.tag;
    stored.permissions = entry.permissions;
    stored.id = entry.id;
    out += as_text(bytes_of(stored));
  }
  return out;
}

uint16_t mode_of(const std::vector<AclEntry>& entries) {
  uint16_t owner = 0, group = 0, other = 0;
  for (const AclEntry& entry : entries) {
    if (entry.tag == kUserObj) owner = entry.permissions;
    // Sorted: a mask comes after the group it stands for.
    if (entry.tag == kGroupObj || entry.tag == kMask) group = entry.permissions;
    if (entry.tag == kOther) other = entry.permissions;
  }
  return static_cast<uint16_t>(owner << 6 | group << 3 | other);
}

Result<PosixAcl> acl_of(std::vector<AclEntry> entries) {
  TRY(sort_and_validate(entries));
  constexpr size_t kEntriesOfMode = 3;
  PosixAcl acl;
  acl.mode = mode_of(entries);
  acl.extended = entries.size() > kEntriesOfMode;
  acl.xattr = to_xattr(entries);
  return acl;
}

Result<AclEntry> decode_entry(const AclXattrEntry& stored) {
  AclEntry entry{stored.tag, stored.permissions, kUndefinedId};
  bool known = is_power_of_two(entry.tag) && entry.tag <= kOther;
  if (!known || entry.permissions > kRwx) return make_error(Code::corrupt, "has an invalid ACL entry");
  if (entry.tag == kUser || entry.tag == kGroup) entry.id = stored.id;
  return entry;
}

}  // namespace

Result<PosixAcl> parse_acl_text(std::string_view text) {
  TRY_ASSIGN(std::vector<AclEntry> entries, parse_entries(text));
  return acl_of(std::move(entries));
}

Result<PosixAcl> parse_acl_xattr(std::string_view value) {
  ByteView bytes = as_bytes(value);
  const le32* version = struct_at<le32>(bytes, 0);
  if (!version || *version != kXattrVersion || (bytes.size() - sizeof(le32)) % sizeof(AclXattrEntry) != 0) {
    return make_error(Code::corrupt, "is not an ACL of version 2");
  }
  size_t count = (bytes.size() - sizeof(le32)) / sizeof(AclXattrEntry);
  std::vector<AclEntry> entries;
  for (const AclXattrEntry& stored : structs_at<AclXattrEntry>(bytes, sizeof(le32), count)) {
    TRY_ASSIGN(AclEntry entry, decode_entry(stored));
    entries.push_back(entry);
  }
  return acl_of(std::move(entries));
}

}  // namespace mkfs
