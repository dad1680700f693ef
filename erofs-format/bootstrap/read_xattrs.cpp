// The xattr body of an inode (erofs.md 11, nydus-rafs-v6.md 1.12).
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "erofs-format/bootstrap/encoding.h"
#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

constexpr uint32_t kCompatXattrFilter = 0x4;
constexpr uint32_t kXattrFilterSeed = 0x25BBE08F;

// The name with its prefix.
Result<std::string> full_name(const Image& image, uint64_t at, uint8_t index, std::string_view name) {
  const auto* known = std::find_if(std::begin(kXattrPrefixes), std::end(kXattrPrefixes),
                                   [&](const XattrPrefix& prefix) { return prefix.index == index; });
  if (known == std::end(kXattrPrefixes))
    return image.corrupt(at + 1, fmt::format("xattr: e_name_index {} is unknown", index));
  if (known->whole != name.empty())
    return image.corrupt(at, fmt::format("xattr: e_name_len {} is wrong for {}", name.size(), known->prefix));
  if (name.find('\0') != name.npos) return image.corrupt(at + 4, "xattr: name has a NUL");
  return std::string(known->prefix).append(name);
}

uint32_t filter_bit(uint8_t index, std::string_view name) {
  return 1u << (XXH32(name.data(), name.size(), kXattrFilterSeed + index) & 31);
}

// One entry at `at` of a body that ends at `end`; returns where the next one starts.
Result<uint64_t> read_entry(const Image& image, uint64_t at, uint64_t end, Xattrs& xattrs, uint32_t& hashed) {
  const auto* entry = struct_at<erofs_xattr_entry>(image.bytes.first(end), at);
  if (!entry) return image.corrupt(at, "xattr: entry reaches past the body");
  uint64_t name_at = at + sizeof(*entry);
  uint64_t used = uint64_t{entry->e_name_len} + entry->e_value_size;
  if (!in_range(name_at, used, end)) return image.corrupt(at, "xattr: entry reaches past the body");
  std::string_view text = as_text(image.bytes.subspan(name_at, used));
  std::string_view name = text.substr(0, entry->e_name_len);
  TRY_ASSIGN(std::string full, full_name(image, at, entry->e_name_index, name));
  hashed |= filter_bit(entry->e_name_index, name);
  if (!xattrs.emplace(full, text.substr(entry->e_name_len)).second)
    return image.corrupt(at, "xattr: " + printable(full) + " is there twice");
  uint64_t next = align_up(name_at + used, 4);
  if (next > end) return image.corrupt(at, "xattr: entry reaches past the body");
  for (uint64_t i = name_at + used; i < next; i++)
    if (image.bytes[i] != 0) image.note(i, "xattr: padding is not 0");
  return next;
}

}  // namespace

Result<void> parse_xattrs(const Image& image, uint64_t offset, uint64_t size, Inode& inode) {
  if (size == 0) return {};
  const auto& header = *struct_at<erofs_xattr_ibody_header>(image.bytes, offset);
  if (header.h_shared_count != 0)
    return image.corrupt(offset + offsetof(erofs_xattr_ibody_header, h_shared_count),
                         "xattr: h_shared_count is not 0");
  auto xattrs = std::make_unique<Xattrs>();
  uint32_t hashed = 0;
  for (uint64_t at = offset + sizeof(header), end = offset + size; at < end;) {
    TRY_ASSIGN(at, read_entry(image, at, end, *xattrs, hashed));
  }
  bool filtered = (image.feature_compat & kCompatXattrFilter) != 0 && header.h_name_filter != 0;
  if (filtered && header.h_name_filter != ~hashed)
    return image.corrupt(offset, "xattr: h_name_filter hides a name");
  inode.xattrs = std::move(xattrs);
  return {};
}

}  // namespace erofs_format::reader
