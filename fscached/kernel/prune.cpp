#include "fscached/kernel/prune.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "fscached/kernel/existing_file.h"

namespace fscached {

namespace {

constexpr uint64_t kSector = 512;  // of st_blocks

// False when the file is not there any more.
bool measure(const std::string& path, UnusedFile& file) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return false;
  file.last_use = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  file.bytes = static_cast<uint64_t>(status.st_blocks) * kSector;
  return true;
}

}  // namespace

std::vector<UnusedFile> choose_pruned(std::vector<UnusedFile> unused, uint64_t keep_bytes) {
  std::sort(unused.begin(), unused.end(),
            [](const UnusedFile& a, const UnusedFile& b) { return a.last_use < b.last_use; });
  uint64_t left = 0;
  for (const UnusedFile& file : unused) left += file.bytes;
  size_t count = 0;
  for (; count < unused.size() && left > keep_bytes; count++) left -= unused[count].bytes;
  // With nothing to keep, empty files go too.
  if (keep_bytes > 0) unused.resize(count);
  return unused;
}

Result<uint64_t> prune_folder(const std::string& folder, const std::set<std::string>& used,
                              const PruneWish& wish) {
  std::vector<UnusedFile> unused;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    UnusedFile file;
    file.path = entry.path();
    if (entry.path().extension() != ".data" || used.count(file.path) || !wish.wants(entry.path().stem()) ||
        !measure(file.path, file))
      continue;
    unused.push_back(std::move(file));
  }
  if (error) return errno_error(folder, error.value());
  uint64_t freed = 0;
  for (const UnusedFile& file : choose_pruned(std::move(unused), wish.keep_bytes)) {
    // First what speaks of the data: never a claim without it.
    unlink(std::filesystem::path(file.path).replace_extension(".presence").c_str());
    if (unlink(file.path.c_str()) != 0) return errno_error(file.path);
    freed += file.bytes;
  }
  return freed;
}

Result<uint64_t> prune_cache(const CacheDirectory& directory, const std::set<CookieName>& used,
                             const PruneWish& wish) {
  TRY_ASSIGN(std::vector<CookieName> all, directory.all());
  std::vector<UnusedFile> unused;
  for (CookieName& name : all) {
    UnusedFile file;
    if (used.count(name) || !wish.wants(name.cookie) || !measure(directory.path_of(name), file)) continue;
    TRY_ASSIGN(bool in_use, directory.in_use(name));
    if (in_use) continue;
    file.cookie = std::move(name);
    unused.push_back(std::move(file));
  }
  uint64_t freed = 0;
  for (const UnusedFile& file : choose_pruned(std::move(unused), wish.keep_bytes)) {
    unlink(presence_of(file.cookie).c_str());
    auto culled = directory.cull(file.cookie);
    // A mount has come meanwhile.
    if (!culled && culled.error().sys_errno == EBUSY) continue;
    TRY(culled);
    freed += file.bytes;
  }
  return freed;
}

}  // namespace fscached
