#include "erofs-format/blob/toc.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>

namespace erofs_format {

using namespace ondisk;

namespace {

// Where nydusd stops looking (nydus-rafs-v6.md 2.7).
constexpr uint64_t kMaxTocSize = 65536;
constexpr uint32_t kTocFlagsMask = 0xf;
constexpr uint64_t kMaxOctalSize = 077777777777;

uint32_t checksum_of(const tar_header& header) {
  uint32_t sum = 0;
  for (uint8_t byte : bytes_of(header)) sum += byte;
  for (uint8_t byte : header.chksum) sum += ' ' - uint32_t{byte};
  return sum;
}

void put_text(MutableBytes field, std::string_view text) {
  std::memcpy(field.data(), text.data(), std::min(field.size(), text.size()));
}

// GNU base-256 for what eleven octal digits cannot hold.
void put_size(tar_header& header, uint64_t size) {
  if (size <= kMaxOctalSize) return put_text(header.size, fmt::format("{:011o}", size));
  header.size[0] = 0x80;
  for (size_t i = 0; i < 8; i++) header.size[11 - i] = static_cast<uint8_t>(size >> (8 * i));
}

// An octal field: digits, ended by a NUL or space or the end of the field.
bool get_octal(ByteView field, uint64_t* value) {
  std::string_view text = as_text(field);
  text = text.substr(0, text.find_first_of(std::string_view("\0 ", 2)));
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, 8);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

bool get_size(const tar_header& header, uint64_t* size) {
  if (!(header.size[0] & 0x80)) return get_octal(header.size, size);
  *size = 0;
  for (size_t i = 1; i < sizeof(header.size); i++) {
    if (*size >> 56) return false;
    *size = *size << 8 | header.size[i];
  }
  return header.size[0] == 0x80;
}

Error corrupt(std::string_view what) {
  return make_error(Code::corrupt, fmt::format("table of contents: {}", what));
}

Result<TocEntry> take_entry(const toc_entry& raw, size_t index) {
  TocEntry entry;
  entry.name = text_field(raw.name);
  entry.flags = raw.flags & kTocFlagsMask;
  std::memcpy(entry.uncompressed_digest.bytes.data(), raw.uncompressed_digest,
              sizeof(raw.uncompressed_digest));
  entry.compressed_offset = raw.compressed_offset;
  entry.compressed_size = raw.compressed_size;
  entry.uncompressed_size = raw.uncompressed_size;
  if (entry.name.empty()) return corrupt(fmt::format("entry {}: name is empty", index));
  if (std::popcount(entry.flags) != 1 || (raw.flags & ~kTocFlagsMask) != 0)
    return corrupt(fmt::format("entry {}: flags {:#x} is not one compressor", index, raw.flags.value()));
  return entry;
}

}  // namespace

tar_header section_header(std::string_view name, uint64_t size) {
  tar_header header = {};
  put_text(header.name, name);
  put_size(header, size);
  put_text(header.mtime, "00000000000");
  header.typeflag = '0';
  put_text(header.magic, "ustar ");
  put_text(header.version, " ");
  put_text(header.chksum, fmt::format("{:07o}", checksum_of(header)));
  return header;
}

Result<SectionHeader> parse_section_header(ByteView bytes) {
  const auto* header = struct_at<tar_header>(bytes, 0);
  uint64_t sum = 0;
  if (!header || as_text(header->magic).substr(0, 5) != "ustar" || !get_octal(header->chksum, &sum) ||
      sum != checksum_of(*header))
    return make_error(Code::corrupt, "section header: these bytes are none");
  SectionHeader section;
  section.name = text_field(header->name);
  if (!get_size(*header, &section.size))
    return make_error(Code::corrupt, "section header: size is not a number");
  return section;
}

Buffer encode_toc(const std::vector<TocEntry>& entries) {
  Buffer out;
  for (const TocEntry& entry : entries) {
    toc_entry raw = {};
    raw.flags = entry.flags;
    put_text(raw.name, entry.name);
    put_text(raw.uncompressed_digest, as_text(entry.uncompressed_digest.bytes));
    raw.compressed_offset = entry.compressed_offset;
    raw.compressed_size = entry.compressed_size;
    raw.uncompressed_size = entry.uncompressed_size;
    append(out, bytes_of(raw));
  }
  append(out, bytes_of(section_header(kSectionToc, out.size())));
  return out;
}

Result<std::vector<TocEntry>> parse_toc(ByteView tail) {
  if (tail.size() < sizeof(tar_header)) return corrupt("is shorter than a header");
  uint64_t end = tail.size() - sizeof(tar_header);
  TRY_ASSIGN(SectionHeader section, parse_section_header(tail.subspan(end)));
  if (section.name != kSectionToc)
    return corrupt(fmt::format("the last section is \"{}\"", printable(section.name)));
  if (section.size == 0 || section.size % sizeof(toc_entry) != 0 || section.size > kMaxTocSize ||
      section.size > end)
    return corrupt(fmt::format("{} bytes is not a size it can have", section.size));
  std::vector<TocEntry> entries;
  auto raws = structs_at<toc_entry>(tail, end - section.size, section.size / sizeof(toc_entry));
  for (const toc_entry& raw : raws) {
    TRY_ASSIGN(TocEntry entry, take_entry(raw, entries.size()));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace erofs_format
