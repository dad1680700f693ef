// Sections of a blob file ("reverse tar") and their table of contents
// (nydus-rafs-v6.md 2.1, 2.7).
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"
#include "erofs-format/ondisk/blob.h"

namespace erofs_format {

// The 512-byte header that follows a section of `size` bytes.
ondisk::tar_header section_header(std::string_view name, uint64_t size);
// Name and size of a section header; Code::corrupt when it is none.
struct SectionHeader {
  std::string name;
  uint64_t size = 0;
};
Result<SectionHeader> parse_section_header(ByteView header);

struct TocEntry {
  std::string name;
  uint32_t flags = ondisk::kTocRaw;
  Digest uncompressed_digest;
  uint64_t compressed_offset = 0;
  uint64_t compressed_size = 0;
  uint64_t uncompressed_size = 0;
};

// Entries and their tar header, as appended to a blob.
Buffer encode_toc(const std::vector<TocEntry>& entries);
// Digest over entries and header, as the blob table carries it.
inline Digest toc_digest(ByteView encoded_toc) { return sha256(encoded_toc); }
// The end of a blob (at least the whole table of contents): its entries.
Result<std::vector<TocEntry>> parse_toc(ByteView tail);

}  // namespace erofs_format
