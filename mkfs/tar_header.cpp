#include "mkfs/tar_header.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "mkfs/tar_acl.h"
#include "mkfs/tar_number.h"

namespace mkfs {
namespace {

constexpr std::string_view kUstarMagic{"ustar\0", 6};
constexpr std::string_view kGnuMagic{"ustar  \0", 8};
constexpr uint16_t kPermissions = 07777;

bool is_gnu(const TarBlock& block) { return as_text(block.magic) == kGnuMagic; }
bool is_ustar(const TarBlock& block) { return as_text(block.magic).starts_with(kUstarMagic); }

bool is_sparse(const TarBlock& block, const PaxFields& pax) {
  return block.type == 'S' || pax.sparse.present;
}

Error entry_error(std::string why) { return make_error(Code::corrupt, std::move(why)); }

// Names the field a number came from.
template <typename T>
Result<T> field_of(std::string_view field, Result<T> value) {
  if (!value) return std::move(value).error().within(field);
  return value;
}

Result<uint32_t> id_of(std::string_view field, ByteView bytes, const std::optional<uint32_t>& pax) {
  if (pax) return *pax;
  TRY_ASSIGN(uint64_t id, field_of(field, parse_tar_unsigned(bytes, UINT32_MAX)));
  return static_cast<uint32_t>(id);
}

Result<uint16_t> file_type_of(const TarBlock& block, std::string_view name) {
  switch (block.type) {
    case '0':
    case '\0':
    case '7': return static_cast<uint16_t>(name.ends_with('/') ? S_IFDIR : S_IFREG);
    case '1':
    case 'S': return static_cast<uint16_t>(S_IFREG);
    case '2': return static_cast<uint16_t>(S_IFLNK);
    case '3': return static_cast<uint16_t>(S_IFCHR);
    case '4': return static_cast<uint16_t>(S_IFBLK);
    case '5':
    case 'D': return static_cast<uint16_t>(S_IFDIR);
    case '6': return static_cast<uint16_t>(S_IFIFO);
    default: return make_error(Code::internal, "not a member");
  }
}

Result<void> set_owner_and_time(const TarBlock& block, const PaxFields& pax, SourceEntry& entry) {
  TRY_ASSIGN(entry.uid, id_of("uid", block.uid, pax.uid));
  TRY_ASSIGN(entry.gid, id_of("gid", block.gid, pax.gid));
  if (pax.mtime) {
    entry.mtime = pax.mtime->seconds;
    entry.mtime_nsec = pax.mtime->nanoseconds;
    return {};
  }
  TRY_ASSIGN(entry.mtime, field_of("mtime", parse_tar_number(block.mtime)));
  return {};
}

Result<void> set_device(const TarBlock& block, const PaxFields& pax, SourceEntry& entry) {
  TRY_ASSIGN(uint32_t major, id_of("devmajor", block.devmajor, pax.device_major));
  TRY_ASSIGN(uint32_t minor, id_of("devminor", block.devminor, pax.device_minor));
  if (encode_device(major, minor, &entry.rdev)) return {};
  return make_error(Code::unsupported, fmt::format("device {}:{} has no place in an image", major, minor));
}

std::string link_name(const TarBlock& block, const TarExtensions& extensions) {
  std::string_view name = text_field(block.linkname);
  if (extensions.pax.linkpath) {
    name = *extensions.pax.linkpath;
  } else if (extensions.long_link) {
    name = *extensions.long_link;
  }
  return std::string(name.substr(0, name.find('\0')));
}

Result<void> set_symlink_target(std::string target, SourceEntry& entry) {
  if (target.empty()) return entry_error("symlink without a target");
  if (target.size() > kTarMaxSymlink) {
    return make_error(Code::too_large, fmt::format("symlink target of {} bytes, at most {} are taken",
                                                   target.size(), kTarMaxSymlink));
  }
  entry.target = std::move(target);
  entry.mode |= 0777;  // as every symlink shows on Linux, whatever an archive says
  return {};
}

Result<void> set_hard_link(const std::string& target, SourceEntry& entry) {
  Result<std::string> path = clean_path(target);
  if (!path) return std::move(path).error().within("hard link target");
  if (path->empty()) return entry_error("hard link to the root");
  entry.hard_link_to = std::move(*path);
  return {};
}

constexpr char kAccessXattr[] = "system.posix_acl_access";
constexpr char kDefaultXattr[] = "system.posix_acl_default";

// GNU tar --xattrs --acls writes an ACL twice: as xattr with numbers, and as text that may have names
// alone. The numbers count.
Result<std::optional<PosixAcl>> acl_of(const Xattrs& xattrs, const std::string& xattr,
                                       const std::string& text) {
  auto raw = xattrs.find(xattr);
  if (raw == xattrs.end() && text.empty()) return std::optional<PosixAcl>();
  Result<PosixAcl> acl = raw != xattrs.end() ? parse_acl_xattr(raw->second) : parse_acl_text(text);
  if (!acl) return std::move(acl).error().within(xattr);
  return std::optional<PosixAcl>(std::move(*acl));
}

// Sets the permission bits too, as setting an access ACL on a file does.
Result<void> set_access_acl(const PaxFields& pax, SourceEntry& entry) {
  TRY_ASSIGN(auto acl, acl_of(pax.xattrs, kAccessXattr, pax.acl_access));
  if (!acl) return {};
  constexpr uint16_t kAllPermissions = 0777;
  entry.mode = static_cast<uint16_t>((entry.mode & ~kAllPermissions) | acl->mode);
  entry.xattrs.erase(kAccessXattr);
  if (acl->extended) entry.xattrs[kAccessXattr] = std::move(acl->xattr);
  return {};
}

// Only directories have one.
Result<void> set_default_acl(const PaxFields& pax, SourceEntry& entry) {
  TRY_ASSIGN(auto acl, acl_of(pax.xattrs, kDefaultXattr, pax.acl_default));
  entry.xattrs.erase(kDefaultXattr);
  if (acl && S_ISDIR(entry.mode)) entry.xattrs[kDefaultXattr] = std::move(acl->xattr);
  return {};
}

Result<void> set_xattrs(const PaxFields& pax, SourceEntry& entry) {
  entry.xattrs = pax.xattrs;
  for (const std::string& name : pax.false_xattrs) entry.xattrs.erase(name);
  // setfilecon(3) stores the NUL with the context.
  if (!pax.selinux.empty()) entry.xattrs.try_emplace("security.selinux", pax.selinux + '\0');
  if (S_ISLNK(entry.mode)) return {};
  TRY(set_access_acl(pax, entry));
  return set_default_acl(pax, entry);
}

Result<void> set_old_gnu_sparse(const TarBlock& block, TarMember& member) {
  if (!is_gnu(block)) return make_error(Code::unsupported, "sparse file in a format other than GNU's");
  TRY_ASSIGN(member.map.size, field_of("real size", parse_tar_unsigned(block.gnu.real_size, INT64_MAX)));
  member.sparse = TarSparseForm::old_gnu;
  return add_old_gnu_pieces(block.gnu.sparse, member.map);
}

Result<void> set_sparse(const TarBlock& block, const PaxFields& pax, TarMember& member) {
  if (!is_sparse(block, pax)) return {};
  if (!S_ISREG(member.entry.mode) || block.type == '1') {
    return entry_error("sparse records on what is not a file");
  }
  if (block.type == 'S') {
    TRY(set_old_gnu_sparse(block, member));
  } else {
    TRY_ASSIGN(PaxSparseForm form, pax_sparse_form(pax.sparse));
    bool in_data = form == PaxSparseForm::in_data;
    member.sparse = in_data ? TarSparseForm::in_data : TarSparseForm::records;
    if (!pax.sparse.size) return entry_error("sparse file without its real size");
    member.map.size = *pax.sparse.size;
    if (!in_data) {
      TRY_ASSIGN(member.map, map_of_records(pax.sparse));
    }
  }
  member.entry.size = member.map.size;
  return {};
}

// What only its type knows about a member.
Result<void> set_by_type(const TarBlock& block, const TarExtensions& extensions, TarMember& member) {
  SourceEntry& entry = member.entry;
  if (block.type == '1') return set_hard_link(link_name(block, extensions), entry);
  if (S_ISLNK(entry.mode)) return set_symlink_target(link_name(block, extensions), entry);
  if (S_ISCHR(entry.mode) || S_ISBLK(entry.mode)) return set_device(block, extensions.pax, entry);
  if (S_ISREG(entry.mode)) entry.size = member.stored_size;
  return {};
}

Result<void> append_component(std::string_view component, std::string& path) {
  if (component == "..") return entry_error("path holds \"..\"");
  if (component.size() > kTarMaxComponent) {
    return make_error(Code::too_large, fmt::format("name of {} bytes, at most {} are taken", component.size(),
                                                   kTarMaxComponent));
  }
  if (!path.empty()) path += '/';
  path += component;
  return {};
}

}  // namespace

bool is_zero_block(const TarBlock& block) {
  ByteView bytes = bytes_of(block);
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

Result<void> verify_checksum(const TarBlock& block) {
  int64_t as_unsigned = 0;
  int64_t as_signed = 0;
  for (uint8_t byte : bytes_of(block)) {
    as_unsigned += byte;
    as_signed += static_cast<int8_t>(byte);
  }
  for (uint8_t byte : block.checksum) {
    as_unsigned += ' ' - byte;
    as_signed += ' ' - static_cast<int8_t>(byte);
  }
  TRY_ASSIGN(int64_t stored, field_of("checksum", parse_tar_number(block.checksum)));
  if (stored == as_unsigned || stored == as_signed) return {};
  return entry_error(fmt::format("checksum is {}, the bytes give {}", stored, as_unsigned));
}

Result<TarRole> role_of(const TarBlock& block) {
  switch (block.type) {
    case 'x':
    case 'X': return TarRole::pax_header;
    case 'g': return TarRole::global_header;
    case 'L': return TarRole::gnu_long_name;
    case 'K': return TarRole::gnu_long_link;
    case 'V': return TarRole::volume_label;
    case 'M': return make_error(Code::unsupported, "type 'M': multi-volume archives");
    case 'N': return make_error(Code::unsupported, "type 'N': old GNU long names");
    default: break;
  }
  constexpr std::string_view kMembers{
      "\0"
      "01234567SD",
      11};
  char type = static_cast<char>(block.type);
  if (kMembers.find(type) != std::string_view::npos) return TarRole::member;
  return make_error(Code::unsupported, fmt::format("unknown type '{}'", printable({&type, 1})));
}

Result<uint64_t> size_field(const TarBlock& block) {
  // GNU tar refuses this and bsdtar takes it for 0; where the next header is hangs on it.
  std::string_view text = as_text(block.size);
  if (text.find_first_not_of(' ') == std::string_view::npos) return entry_error("size: is blank");
  return field_of("size", parse_tar_unsigned(block.size, INT64_MAX));
}

Result<uint64_t> stored_size(const TarBlock& block, const PaxFields& pax) {
  // Links, devices, directories and FIFOs have no data whatever size they carry: so POSIX, GNU tar,
  // bsdtar, Go and Python. Whoever skips `size` bytes here reads another archive than everybody else.
  if (block.type >= '1' && block.type <= '6') return uint64_t{0};
  uint64_t size = 0;
  if (pax.size) {
    size = *pax.size;
  } else {
    TRY_ASSIGN(size, size_field(block));
  }
  // GNU tar would skip them and bsdtar would read them as headers.
  if (size != 0 && block.type == 'V')
    return entry_error(fmt::format("volume label with {} bytes of data", size));
  return size;
}

std::string raw_name(const TarBlock& block, const TarExtensions& extensions) {
  std::string name;
  if (extensions.pax.sparse.name) {
    name = *extensions.pax.sparse.name;
  } else if (extensions.pax.path) {
    name = *extensions.pax.path;
  } else if (extensions.long_name) {
    name = *extensions.long_name;
  } else {
    std::string_view prefix = is_ustar(block) ? text_field(block.prefix) : std::string_view();
    if (!prefix.empty()) name = std::string(prefix) + "/";
    name += text_field(block.name);
  }
  name.resize(std::min(name.size(), name.find('\0')));
  return name;
}

Result<std::string> clean_path(std::string_view raw) {
  if (raw.empty()) return entry_error("empty name");
  if (raw.size() > kTarMaxPath) {
    return make_error(Code::too_large,
                      fmt::format("path of {} bytes, at most {} are taken", raw.size(), kTarMaxPath));
  }
  std::string path;
  while (!raw.empty()) {
    size_t slash = raw.find('/');
    std::string_view component = raw.substr(0, slash);
    raw.remove_prefix(slash == std::string_view::npos ? raw.size() : slash + 1);
    if (!component.empty() && component != ".") TRY(append_component(component, path));
  }
  return path;
}

Result<TarMember> decode_member(const TarBlock& block, const TarExtensions& extensions) {
  const PaxFields& pax = extensions.pax;
  TarMember member;
  SourceEntry& entry = member.entry;
  std::string name = raw_name(block, extensions);
  TRY_ASSIGN(entry.path, clean_path(name));
  TRY_ASSIGN(uint16_t file_type, file_type_of(block, name));
  TRY_ASSIGN(int64_t mode, field_of("mode", parse_tar_number(block.mode)));
  entry.mode = static_cast<uint16_t>(file_type | (mode & kPermissions));
  if (entry.path.empty() && (!S_ISDIR(entry.mode) || block.type == '1')) {
    return entry_error("the root is not a directory");
  }
  TRY_ASSIGN(member.stored_size, stored_size(block, pax));
  TRY(set_owner_and_time(block, pax, entry));
  TRY(set_by_type(block, extensions, member));
  TRY(set_sparse(block, pax, member));
  TRY(set_xattrs(pax, entry));
  return member;
}

}  // namespace mkfs
