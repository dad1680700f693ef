// The blocks of a directory (erofs.md 10, nydus-rafs-v6.md 1.9).
#include <fmt/format.h>

#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

struct Block {
  ByteView bytes;  // what of it is valid
  uint64_t offset = 0;
};

bool bad_name(std::string_view name) {
  return name.empty() || name.size() > kMaxNameLength || name.find('/') != name.npos ||
         name.find('\0') != name.npos;
}

// The last name of a block ends with the valid bytes or at the first NUL, after which all is zero.
Result<std::string_view> last_name(const Image& image, const Block& block, uint64_t start) {
  std::string_view rest = as_text(block.bytes.subspan(start));
  std::string_view name = rest.substr(0, rest.find('\0'));
  size_t garbage = rest.find_first_not_of('\0', name.size());
  if (garbage != rest.npos)
    return image.corrupt(block.offset + start + garbage, "directory: bytes after the last name are not 0");
  return name;
}

Result<std::string_view> entry_name(const Image& image, const Block& block,
                                    std::span<const erofs_dirent> entries, size_t i, uint64_t at) {
  uint64_t start = entries[i].nameoff;
  bool last = i + 1 == entries.size();
  uint64_t end = last ? block.bytes.size() : entries[i + 1].nameoff.value();
  if (start < entries.size_bytes() || start >= end || end > block.bytes.size())
    return image.corrupt(at + offsetof(erofs_dirent, nameoff), "directory: nameoff is out of order or range");
  std::string_view name;
  if (last) {
    TRY_ASSIGN(name, last_name(image, block, start));
  } else {
    name = as_text(block.bytes.subspan(start, end - start));
  }
  if (bad_name(name))
    return image.corrupt(block.offset + start, "directory: name is not 1 to 255 plain bytes");
  return name;
}

Result<size_t> entry_count(const Image& image, const Block& block) {
  const auto* first = struct_at<erofs_dirent>(block.bytes, 0);
  if (!first) return image.corrupt(block.offset, "directory: block is shorter than an entry");
  uint64_t table = first->nameoff;
  if (table < sizeof(erofs_dirent) || table % sizeof(erofs_dirent) != 0 || table >= block.bytes.size())
    return image.corrupt(block.offset + offsetof(erofs_dirent, nameoff),
                         "directory: first nameoff is not the end of the entries");
  return table / sizeof(erofs_dirent);
}

Result<void> read_block(const Image& image, const Block& block, std::vector<RawEntry>& out) {
  TRY_ASSIGN(size_t count, entry_count(image, block));
  auto entries = structs_at<erofs_dirent>(block.bytes, 0, count);
  for (size_t i = 0; i < count; i++) {
    uint64_t at = block.offset + i * sizeof(erofs_dirent);
    TRY_ASSIGN(std::string_view name, entry_name(image, block, entries, i, at));
    if (!out.empty() && out.back().name >= name)
      return image.corrupt(at, "directory: name " + printable(name) + " is not after the one before it");
    if (entries[i].file_type > kFtSymlink)
      return image.corrupt(at + offsetof(erofs_dirent, file_type), "directory: file_type is unknown");
    if (entries[i].reserved != 0)
      image.note(at + offsetof(erofs_dirent, reserved), "directory: reserved byte is not 0");
    out.push_back({name, entries[i].nid, at, entries[i].file_type});
  }
  return {};
}

}  // namespace

Result<void> parse_directory(Image& image, const InodeHead& head, std::vector<RawEntry>& entries) {
  if (head.size == 0) return image.corrupt(head.offset + 8, "directory: i_size is 0");
  TRY_ASSIGN(FlatData data, claim_flat_data(image, head, "the entries of a directory"));
  uint64_t full_offset = uint64_t{head.data} * image.block_size;
  for (uint64_t at = 0; at < data.full.size(); at += image.block_size) {
    uint64_t size = std::min<uint64_t>(image.block_size, data.full.size() - at);
    TRY(read_block(image, {data.full.subspan(at, size), full_offset + at}, entries));
  }
  if (!data.tail.empty()) TRY(read_block(image, {data.tail, head.end}, entries));
  return {};
}

}  // namespace erofs_format::reader
