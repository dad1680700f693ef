// The cache files: created, sized, opened, marked, in this order and only here. A
// descriptor opened before the mark never raises events, whoever uses it: it is the one to fill through.
#pragma once

#include <map>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/keeper_state.h"

namespace fscached::keeper {

using namespace erofs_format;

struct DataFile {
  std::string blob;
  std::string path;  // relative to the root
  os::UniqueFd fd;
  uint64_t size = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  bool created = false;
  bool marked = false;
  unsigned attached = 0;  // mounts the worker is preparing with it
  unsigned mounts = 0;
};

// Where it is written down which chunks of a blob's file are there, relative to the root.
std::string presence_path_of(std::string_view blob);

// Whether somebody besides `fd` has its file open: a lease for writing is refused then.
bool held_by_others(int fd);

class DataFiles {
 public:
  // Both borrowed. Paths are relative to the working directory, which is the root.
  DataFiles(int group, KeeperState& state) : group_(group), state_(state) {}
  // A predecessor's, with its descriptor from before the mark.
  Result<void> restore(const FileRecord& record, os::UniqueFd fd);

  // The blob's file, created when missing or of another size, and marked.
  Result<uint32_t> attach(std::string_view blob, uint64_t size);
  Result<void> set_mark(uint32_t id, bool on);
  // The kernel has let go of it and no mount counts on it: unmarks and closes.
  bool release_if_unused(uint32_t id);

  DataFile* find(uint32_t id);
  std::map<uint32_t, DataFile>& all() { return files_; }

 private:
  Result<DataFile> open(std::string_view blob, uint64_t size);
  Result<void> write_down(uint32_t id, const DataFile& file, bool marked, int descriptor = -1);
  Result<void> mark(uint32_t id, DataFile& file, bool on);
  int group_;
  KeeperState& state_;
  uint32_t last_id_ = 0;
  std::map<uint32_t, DataFile> files_;
};

}  // namespace fscached::keeper
