#include "fscached/kernel/existing_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "erofs-format/base/log.h"
#include "fscached/limits.h"

namespace fscached {

namespace {

Result<bool> may_stay(int file, const BlobLayout& layout, const std::optional<Presence>& presence) {
  TRY_ASSIGN(struct stat status, os::stat_of(file, "cache file"));
  uint64_t size = layout.file_size();
  if (!presence || !presence->clean || presence->file_size != size ||
      static_cast<uint64_t>(status.st_size) != size)
    return false;
  TRY_ASSIGN(auto data, data_extents(file, {0, size}));
  return vouches_for(*presence, layout, data);
}

}  // namespace

std::string presence_of(const CookieName& name) {
  return fmt::format("presence/{}/{}.presence", name.volume, name.cookie);
}

Result<void> cull_when_free(const CacheDirectory& directory, const CookieName& name) {
  constexpr auto kStep = std::chrono::milliseconds(20);
  constexpr int kSteps = kReleaseWaitMs / 20;
  for (int step = 0;; step++) {
    auto culled = directory.cull(name);
    if (culled || culled.error().sys_errno != EBUSY || step == kSteps) return culled;
    std::this_thread::sleep_for(kStep);
  }
}

bool vouches_for(const Presence& presence, const BlobLayout& layout, const std::vector<Extent>& data) {
  auto extent = data.begin();
  for (uint32_t chunk : layout.known()) {
    const ChunkSpan& span = layout.chunk(chunk);
    while (extent != data.end() && extent->offset + extent->size <= span.uncompressed_offset) ++extent;
    if (extent == data.end()) return true;
    if (span.uncompressed_offset + padded_size(span) <= extent->offset) continue;
    if (chunk >= presence.digests.size() || presence.digests[chunk] != layout.digest(chunk)) return false;
  }
  return true;
}

Result<std::optional<Presence>> admit_existing_file(const CacheDirectory& directory, const CookieName& name,
                                                    const BlobLayout& layout) {
  auto file = directory.open(name, O_RDONLY);
  if (!file && file.error().code != Code::not_found) return std::move(file).error();
  if (file) {
    std::optional<Presence> presence = load_presence(presence_of(name));
    TRY_ASSIGN(bool stays, may_stay(file->get(), layout, presence));
    if (stays) return presence;
    log_line(LogLevel::warn, "cachefiles",
             fmt::format("{}: nobody vouches for the data in the cache: fetched again", name.cookie));
    TRY(cull_when_free(directory, name));
  }
  unlink(presence_of(name).c_str());
  return std::optional<Presence>();
}

}  // namespace fscached
