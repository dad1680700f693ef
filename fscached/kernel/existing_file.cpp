#include "fscached/kernel/existing_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/log.h"
#include "fscached/kernel/when_free.h"

namespace fscached {

namespace {

// Whether chunk `index` is there, whole and right.
Result<bool> is_right(int file, const BlobLayout& layout, uint32_t index, const std::vector<Extent>& data,
                      Buffer& pages) {
  const ChunkSpan& span = layout.chunk(index);
  uint64_t end = span.uncompressed_offset + padded_size(span);
  bool whole = std::any_of(data.begin(), data.end(), [&](const Extent& extent) {
    return extent.offset <= span.uncompressed_offset && end <= extent.offset + extent.size;
  });
  if (!whole) return false;
  pages.resize(padded_size(span));
  TRY(os::pread_exact(file, span.uncompressed_offset, pages, "cache file"));
  return bool(layout.verify_pages(index, pages));
}

// Leaves only what the digests prove.
Result<Presence> keep_what_is_right(int file, const BlobLayout& layout) {
  TRY_ASSIGN(auto data, data_extents(file, {0, layout.file_size()}));
  Presence presence;
  presence.file_size = layout.file_size();
  Buffer pages;
  uint64_t proved_to = 0;
  for (uint32_t chunk : layout.known()) {
    TRY_ASSIGN(bool right, is_right(file, layout, chunk, data, pages));
    if (!right) continue;
    presence.chunks.push_back({chunk, layout.digest(chunk)});
    const ChunkSpan& span = layout.chunk(chunk);
    TRY(make_hole(file, {proved_to, span.uncompressed_offset - proved_to}));
    proved_to = span.uncompressed_offset + padded_size(span);
  }
  TRY(make_hole(file, {proved_to, layout.file_size() - proved_to}));
  presence.clean = true;
  return presence;
}

Result<Admitted> examine(const CookieName& name, int file, const BlobLayout& layout) {
  std::optional<Presence> presence = load_presence(presence_of(name));
  uint64_t size = layout.file_size();
  if (presence && presence->clean && presence->file_size == size) {
    TRY_ASSIGN(auto data, data_extents(file, {0, size}));
    if (vouches_for(*presence, layout, data)) return Admitted{std::move(presence), 0};
  }
  TRY_ASSIGN(presence, keep_what_is_right(file, layout));
  size_t count = presence->chunks.size();
  log_line(
      LogLevel::warn, "cachefiles",
      fmt::format("blob {}: nobody vouched for what was in the cache: verified, {} of {} chunks are right",
                  name.cookie, count, layout.known().size()));
  return Admitted{std::move(presence), count};
}

}  // namespace

std::string presence_of(const CookieName& name) {
  return fmt::format("presence/{}/{}.presence", name.volume, name.cookie);
}

Result<void> cull_when_free(const CacheDirectory& directory, const CookieName& name) {
  return when_free([&] { return directory.cull(name); });
}

bool vouches_for(const Presence& presence, const BlobLayout& layout, const std::vector<Extent>& data) {
  std::vector<Digest> vouched(layout.digests().size());
  for (const PresenceEntry& entry : presence.chunks)
    if (entry.chunk < vouched.size()) vouched[entry.chunk] = entry.digest;
  auto extent = data.begin();
  for (uint32_t chunk : layout.known()) {
    const ChunkSpan& span = layout.chunk(chunk);
    while (extent != data.end() && extent->offset + extent->size <= span.uncompressed_offset) ++extent;
    if (extent == data.end()) return true;
    if (span.uncompressed_offset + padded_size(span) <= extent->offset) continue;
    if (vouched[chunk] != layout.digest(chunk)) return false;
  }
  return true;
}

Result<Admitted> admit_existing_file(const CacheDirectory& directory, const CookieName& name,
                                     const BlobLayout& layout) {
  auto file = directory.open(name, O_RDWR);
  if (!file && file.error().code != Code::not_found) return std::move(file).error();
  if (file) {
    TRY_ASSIGN(struct stat status, os::stat_of(file->get(), directory.path_of(name)));
    if (static_cast<uint64_t>(status.st_size) == layout.file_size())
      return examine(name, file->get(), layout);
    TRY(cull_when_free(directory, name));
  }
  unlink(presence_of(name).c_str());
  return Admitted{};
}

}  // namespace fscached
