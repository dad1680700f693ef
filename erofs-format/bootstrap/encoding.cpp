#include "erofs-format/bootstrap/encoding.h"

#include <algorithm>
#include <bit>

namespace erofs_format {

uint8_t file_type_of(uint16_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return ondisk::kFtRegular;
    case S_IFDIR: return ondisk::kFtDirectory;
    case S_IFCHR: return ondisk::kFtCharDevice;
    case S_IFBLK: return ondisk::kFtBlockDevice;
    case S_IFIFO: return ondisk::kFtFifo;
    case S_IFSOCK: return ondisk::kFtSocket;
    case S_IFLNK: return ondisk::kFtSymlink;
    default: return ondisk::kFtUnknown;
  }
}

XattrName split_xattr_name(std::string_view name) {
  for (const auto& known : kXattrPrefixes)
    if (known.whole ? name == known.prefix : name.starts_with(known.prefix))
      return {known.index, name.substr(known.prefix.size())};
  return {};
}

uint64_t xattr_body_size(const Inode& inode) {
  if (!inode.xattrs || inode.xattrs->empty()) return 0;
  uint64_t size = sizeof(ondisk::erofs_xattr_ibody_header);
  for (const auto& [name, value] : *inode.xattrs)
    size +=
        align_up(sizeof(ondisk::erofs_xattr_entry) + split_xattr_name(name).suffix.size() + value.size(), 4);
  return size;
}

Buffer encode_xattr_body(const Inode& inode) {
  Buffer body(xattr_body_size(inode));
  size_t at = sizeof(ondisk::erofs_xattr_ibody_header);
  if (body.empty()) return body;
  for (const auto& [full_name, value] : *inode.xattrs) {
    XattrName name = split_xattr_name(full_name);
    ondisk::erofs_xattr_entry entry = {};
    entry.e_name_len = narrow<uint8_t>(name.suffix.size());
    entry.e_name_index = name.index;
    entry.e_value_size = narrow<uint16_t>(value.size());
    std::memcpy(body.data() + at, &entry, sizeof entry);
    std::copy(name.suffix.begin(), name.suffix.end(), body.begin() + static_cast<long>(at + sizeof entry));
    std::copy(value.begin(), value.end(),
              body.begin() + static_cast<long>(at + sizeof entry + name.suffix.size()));
    at += align_up(sizeof entry + name.suffix.size() + value.size(), 4);
  }
  return body;
}

std::vector<DirentName> dirent_names(const Tree& tree, InodeId directory) {
  const Inode& inode = tree.inodes[directory];
  std::vector<DirentName> names;
  names.reserve(inode.entries->size() + 2);
  for (const auto& entry : *inode.entries) names.push_back({entry.name, entry.inode});
  auto by_name = [](const DirentName& a, const DirentName& b) { return a.name < b.name; };
  for (DirentName dot : {DirentName{".", directory}, DirentName{"..", inode.parent}})
    names.insert(std::lower_bound(names.begin(), names.end(), dot, by_name), dot);
  return names;
}

uint64_t directory_size(const Tree& tree, InodeId directory) {
  uint64_t blocks = 0;
  uint64_t used = 0;
  for (const auto& name : dirent_names(tree, directory)) {
    uint64_t need = sizeof(ondisk::erofs_dirent) + name.name.size();
    if (used + need > tree.block_size) {
      blocks++;
      used = 0;
    }
    used += need;
  }
  return blocks * tree.block_size + used;
}

uint16_t chunk_format_bits(const Tree& tree, const Inode& inode) {
  uint64_t size = tree.chunk_size;
  if (inode.size > tree.chunk_size) {
    const Chunk& first = tree.chunks[inode.chunks[0]];
    bool run = true;
    for (size_t i = 1; run && i < inode.chunks.size(); i++) {
      const Chunk& chunk = tree.chunks[inode.chunks[i]];
      run = chunk.blob_index == first.blob_index &&
            chunk.uncompressed_offset == first.uncompressed_offset + i * tree.chunk_size;
    }
    if (run) size = std::bit_ceil(inode.size);
  }
  int bits = std::countr_zero(size) - std::countr_zero(uint64_t{tree.block_size});
  // 5 bits: larger files keep the image's own chunk size.
  constexpr int kMaxBits = ondisk::kChunkFormatBitsMask;
  if (bits > kMaxBits) bits = std::countr_zero(uint64_t{tree.chunk_size}) - std::countr_zero(tree.block_size);
  return static_cast<uint16_t>(bits);
}

}  // namespace erofs_format
