// What a keeper leaves to the next one: its tables of files and mounts, in memory that outlives it, and the
// descriptors they are about. Everything is written down before it is done: what stands here and was not done
// is done again or found to be gone.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/descriptor_store.h"
#include "fscached/keeper/wire.h"

namespace fscached::keeper {

// The descriptors in the store, besides one for each file and mount.
constexpr char kKernelName[] = "kernel";    // fanotify group or cachefiles device
constexpr char kJournalName[] = "journal";  // of its events; only with fanotify
constexpr char kStateName[] = "state";
constexpr char kLockName[] = "lock";          // of the root
constexpr char kWorkerName[] = "worker";      // a pidfd
constexpr char kListenerName[] = "listener";  // of the control socket

// A change of anything that stands in the memory, or in the records of mounts (mount.json): another version.
constexpr uint32_t kStateVersion = 2;

// Both are written whole, into a slot of their own, before an older one of the same id goes.
struct FileRecord {
  uint32_t used = 0;
  uint32_t checksum = 0;  // CRC-32C of what follows
  uint32_t id = 0;
  uint32_t marked = 0;  // or about to be
  uint64_t size = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  char blob[kBlobIdLength] = {};
};
struct MountRecord {
  uint32_t used = 0;
  uint32_t checksum = 0;
  uint32_t id = 0;
  uint32_t unmounted = 0;
  uint64_t attributes = 0;
  uint64_t kernel_id = 0;
  uint32_t file_count = 0;
  uint32_t files[kMaxFiles] = {};
  uint32_t reserved = 0;
  char mountpoint[kMaxPath] = {};
  char fsid[kMaxCookieName + 1] = {};
  char domain[kMaxCookieName + 1] = {};
  char padding[6] = {};
};
static_assert(std::has_unique_object_representations_v<FileRecord> &&
              std::has_unique_object_representations_v<MountRecord>);

// The records of one kind, in their part of the memory.
template <typename Record>
class RecordTable {
 public:
  // `first`: where the table begins; `count_at`: where it is written how many slots were ever used.
  RecordTable(int memory, uint64_t first, uint64_t count_at, uint32_t capacity)
      : memory_(memory), first_(first), count_at_(count_at), capacity_(capacity) {}
  // What a predecessor wrote; Code::corrupt when it cannot have been.
  Result<std::vector<Record>> load();
  // Puts it in place of an older one.
  Result<void> put(Record record);
  void remove(uint32_t id);

 private:
  Result<uint32_t> free_slot();
  Result<void> set_used(uint32_t slot, uint32_t used);
  uint64_t at(uint32_t slot) const { return first_ + slot * sizeof(Record); }
  int memory_;
  uint64_t first_, count_at_;
  uint32_t capacity_;
  uint32_t count_ = 0;
  std::map<uint32_t, uint32_t> slot_of_;
  std::vector<uint32_t> free_;
};

class KeeperState {
 public:
  // Empty, and not in the store before publish().
  static Result<std::unique_ptr<KeeperState>> create(DescriptorStore& store, const std::string& root);
  // What a predecessor left in the store. Code::unsupported: another version wrote it.
  static Result<std::unique_ptr<KeeperState>> take_over(DescriptorStore& store);

  const std::string& root() const { return root_; }
  const std::string& mechanism() const { return mechanism_; }
  Result<void> publish(const std::string& mechanism);

  Result<std::vector<FileRecord>> files();
  Result<std::vector<MountRecord>> mounts();
  // With the descriptor it is about, -1 = the one it has already, or none.
  Result<void> put(const FileRecord& file, int descriptor = -1);
  Result<void> put(const MountRecord& mount, int descriptor = -1);
  os::UniqueFd take_file(uint32_t id);
  os::UniqueFd take_mount(uint32_t id);
  void remove_file(uint32_t id);
  void remove_mount(uint32_t id);

  Result<void> set_last_mount(uint32_t id);
  Result<uint32_t> last_mount() const;
  DescriptorStore& store() { return store_; }

 private:
  KeeperState(DescriptorStore& store, os::UniqueFd memory);
  DescriptorStore& store_;
  os::UniqueFd memory_;
  std::string root_, mechanism_;
  RecordTable<FileRecord> files_;
  RecordTable<MountRecord> mounts_;
};

}  // namespace fscached::keeper
