#include "fscached/keeper/keeper_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "erofs-format/base/crc32c.h"
#include "fscached/fault_point.h"

namespace fscached::keeper {

namespace {

constexpr char kName[] = "keeper's state";
constexpr char kMagic[8] = {'f', 's', 'c', 'k', 'e', 'e', 'p', 'r'};

struct Head {
  char magic[8] = {};
  uint32_t version = 0;
  uint32_t checksum = 0;  // of what follows
  char mechanism[16] = {};
  char root[kMaxPath] = {};
};
static_assert(std::has_unique_object_representations_v<Head>);

// The head, three numbers, the files, the mounts.
constexpr uint64_t kLastMountAt = 8192, kFileCountAt = 8196, kMountCountAt = 8200, kFilesAt = 12288;
constexpr uint64_t kMountsAt = kFilesAt + uint64_t{kMaxDataFiles} * sizeof(FileRecord);
static_assert(sizeof(Head) <= kLastMountAt);

template <typename T>
Result<T> read_at(int memory, uint64_t offset) {
  T value;
  TRY(os::pread_exact(memory, offset, {reinterpret_cast<uint8_t*>(&value), sizeof(T)}, kName));
  return value;
}

template <typename T>
Result<void> write_at(int memory, uint64_t offset, const T& value) {
  return os::pwrite_all(memory, offset, {reinterpret_cast<const uint8_t*>(&value), sizeof(T)}, kName);
}

// Of everything behind the checksum.
template <typename T>
uint32_t checksum_of(const T& value) {
  size_t begin = offsetof(T, checksum) + sizeof(value.checksum);
  return crc32c({reinterpret_cast<const uint8_t*>(&value) + begin, sizeof(T) - begin});
}

std::string file_name(uint32_t id) { return fmt::format("file-{}", id); }
std::string mount_name(uint32_t id) { return fmt::format("mount-{}", id); }

}  // namespace

// --- one table ---------------------------------------------------------------

template <typename Record>
Result<std::vector<Record>> RecordTable<Record>::load() {
  TRY_ASSIGN(count_, read_at<uint32_t>(memory_, count_at_));
  if (count_ > capacity_) return make_error(Code::corrupt, fmt::format("{}: {} records", kName, count_));
  std::map<uint32_t, Record> found;  // whoever died while replacing one left both, and either is true
  for (uint32_t slot = 0; slot < count_; slot++) {
    TRY_ASSIGN(Record record, read_at<Record>(memory_, at(slot)));
    if (!record.used || found.count(record.id)) {
      TRY(set_used(slot, 0));
      free_.push_back(slot);
      continue;
    }
    if (record.checksum != checksum_of(record))
      return make_error(Code::corrupt, fmt::format("{}: record {} has a wrong checksum", kName, slot));
    slot_of_[record.id] = slot;
    found[record.id] = record;
  }
  std::vector<Record> records;
  records.reserve(found.size());
  for (auto& [id, record] : found) records.push_back(record);
  return records;
}

template <typename Record>
Result<uint32_t> RecordTable<Record>::free_slot() {
  if (free_.empty()) {
    if (count_ == capacity_) return errno_error(fmt::format("{}: more than {}", kName, capacity_), ENOSPC);
    TRY(set_used(count_, 0));
    TRY(write_at(memory_, count_at_, count_ + 1));
    free_.push_back(count_++);
  }
  uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

template <typename Record>
Result<void> RecordTable<Record>::set_used(uint32_t slot, uint32_t used) {
  return write_at(memory_, at(slot) + offsetof(Record, used), used);
}

template <typename Record>
Result<void> RecordTable<Record>::put(Record record) {
  TRY_ASSIGN(uint32_t slot, free_slot());
  record.used = 0;
  record.checksum = checksum_of(record);
  auto written = write_at(memory_, at(slot), record);
  fault_point(95);
  if (written) written = set_used(slot, 1);
  if (!written) {
    free_.push_back(slot);
    return written;
  }
  fault_point(96);
  remove(record.id);
  slot_of_[record.id] = slot;
  return {};
}

template <typename Record>
void RecordTable<Record>::remove(uint32_t id) {
  auto found = slot_of_.find(id);
  if (found == slot_of_.end()) return;
  // A write into a page that is there.
  if (set_used(found->second, 0)) free_.push_back(found->second);
  slot_of_.erase(found);
}

// --- the whole ------------------------------------------------------------------

KeeperState::KeeperState(DescriptorStore& store, os::UniqueFd memory)
    : store_(store),
      memory_(std::move(memory)),
      files_(memory_.get(), kFilesAt, kFileCountAt, kMaxDataFiles),
      mounts_(memory_.get(), kMountsAt, kMountCountAt, kMaxMounts) {}

Result<std::unique_ptr<KeeperState>> KeeperState::create(DescriptorStore& store, const std::string& root) {
  os::UniqueFd memory(memfd_create("fscached-keeper", MFD_CLOEXEC));
  if (!memory.valid()) return errno_error(std::string(kName) + ": memfd_create");
  if (ftruncate(memory.get(), static_cast<off_t>(kMountsAt)) != 0) return errno_error(kName);
  std::unique_ptr<KeeperState> state(new KeeperState(store, std::move(memory)));
  state->root_ = root;
  return state;
}

Result<void> KeeperState::publish(const std::string& mechanism) {
  mechanism_ = mechanism;
  Head head;
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.version = kStateVersion;
  if (!put_text(head.mechanism, mechanism) || !put_text(head.root, root_))
    return make_error(Code::internal, std::string(kName) + ": names are too long");
  head.checksum = checksum_of(head);
  TRY(write_at(memory_.get(), 0, head));
  store_.keep(kStateName, memory_.get());
  return {};
}

Result<std::unique_ptr<KeeperState>> KeeperState::take_over(DescriptorStore& store) {
  os::UniqueFd memory = store.take(kStateName);
  TRY_ASSIGN(Head head, read_at<Head>(memory.get(), 0));
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0 || head.version != kStateVersion)
    return make_error(Code::unsupported, std::string(kName) + ": is another version's");
  if (head.checksum != checksum_of(head))
    return make_error(Code::corrupt, std::string(kName) + ": the checksum is wrong");
  std::unique_ptr<KeeperState> state(new KeeperState(store, std::move(memory)));
  state->root_ = text_of(head.root);
  state->mechanism_ = text_of(head.mechanism);
  return state;
}

Result<std::vector<FileRecord>> KeeperState::files() { return files_.load(); }
Result<std::vector<MountRecord>> KeeperState::mounts() { return mounts_.load(); }

Result<void> KeeperState::put(const FileRecord& file, int descriptor) {
  if (descriptor >= 0) store_.keep(file_name(file.id), descriptor);
  return files_.put(file);
}

Result<void> KeeperState::put(const MountRecord& mount, int descriptor) {
  if (descriptor >= 0) store_.keep(mount_name(mount.id), descriptor);
  return mounts_.put(mount);
}

os::UniqueFd KeeperState::take_file(uint32_t id) { return store_.take(file_name(id)); }
os::UniqueFd KeeperState::take_mount(uint32_t id) { return store_.take(mount_name(id)); }

void KeeperState::remove_file(uint32_t id) {
  files_.remove(id);
  store_.drop(file_name(id));
}

void KeeperState::remove_mount(uint32_t id) {
  mounts_.remove(id);
  store_.drop(mount_name(id));
}

Result<void> KeeperState::set_last_mount(uint32_t id) { return write_at(memory_.get(), kLastMountAt, id); }

Result<uint32_t> KeeperState::last_mount() const { return read_at<uint32_t>(memory_.get(), kLastMountAt); }

}  // namespace fscached::keeper
