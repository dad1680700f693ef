#include "fscached/keeper/data_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/checked.h"
#include "fscached/fault_point.h"
#include "fscached/kernel/fanotify_abi.h"
#include "fscached/storage/blob_name.h"

namespace fscached::keeper {

namespace {

constexpr uint64_t kMaxDataFileSize = uint64_t{1} << 44;

// What a file that is not there any more held, nobody may believe of its successor: not after a power loss
// either, hence gone for good while the new one still has the wrong size.
Result<void> forget_presence(std::string_view blob) {
  std::string path = presence_path_of(blob);
  if (unlink(path.c_str()) != 0) return errno == ENOENT ? Result<void>() : errno_error(path);
  TRY_ASSIGN(os::UniqueFd folder, os::open("blobs", O_RDONLY | O_DIRECTORY));
  return fsync(folder.get()) == 0 ? Result<void>() : errno_error("blobs");
}

std::string data_path_of(std::string_view blob) { return fmt::format("blobs/{}.data", blob); }

Result<void> change_mark(int group, const DataFile& file, bool on) {
  std::string path = fmt::format("/proc/self/fd/{}", file.fd.get());
  unsigned flags = on ? FAN_MARK_ADD : FAN_MARK_REMOVE;
  if (fanotify_mark(group, flags, abi::kFanPreAccess, AT_FDCWD, path.c_str()) == 0) return {};
  if (errno == EOPNOTSUPP)
    return make_error(
        Code::unsupported,
        fmt::format("{}: its file system allows no pre-content events (ext4, XFS and btrfs do)", file.path));
  return errno_error(fmt::format("{}: fanotify_mark", file.path));
}

}  // namespace

std::string presence_path_of(std::string_view blob) { return fmt::format("blobs/{}.presence", blob); }

bool held_by_others(int fd) {
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return true;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

Result<DataFile> DataFiles::open(std::string_view blob, uint64_t size) {
  DataFile file;
  file.blob = blob;
  file.path = data_path_of(blob);
  file.size = size;
  for (;;) {
    // A leftover of another size belongs to another idea of this blob.
    TRY_ASSIGN(file.fd, os::open(file.path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
    TRY_ASSIGN(struct stat status, os::stat_of(file.fd.get(), file.path));
    // What the worker, whose folder it is, may have put there instead is not opened for it.
    if (!S_ISREG(status.st_mode) || status.st_nlink > 1)
      return make_error(Code::corrupt, file.path + ": is no cache file");
    file.device = status.st_dev;
    file.inode = status.st_ino;
    if (static_cast<uint64_t>(status.st_size) == size) return file;
    file.created = true;
    if (status.st_size == 0) break;
    if (unlink(file.path.c_str()) != 0) return errno_error(file.path);
  }
  TRY(forget_presence(blob));
  fault_point(90);
  if (ftruncate(file.fd.get(), static_cast<off_t>(size)) != 0) return errno_error(file.path);
  return file;
}

Result<void> DataFiles::write_down(uint32_t id, const DataFile& file, bool marked, int descriptor) {
  FileRecord record;
  record.id = id;
  record.marked = marked;
  record.size = file.size;
  record.device = file.device;
  record.inode = file.inode;
  file.blob.copy(record.blob, kBlobIdLength);
  return state_.put(record, descriptor);
}

// A successor marks again what stands as marked: as long as a file may have its mark, it stands so.
Result<void> DataFiles::mark(uint32_t id, DataFile& file, bool on) {
  if (file.marked == on) return {};
  if (on) TRY(write_down(id, file, true));
  fault_point(92);
  TRY(change_mark(group_, file, on));
  fault_point(93);
  file.marked = on;
  return on ? Result<void>() : write_down(id, file, false);
}

Result<void> DataFiles::restore(const FileRecord& record, os::UniqueFd fd) {
  DataFile file;
  file.blob.assign(record.blob, kBlobIdLength);
  file.path = data_path_of(file.blob);
  TRY_ASSIGN(struct stat status, os::stat_of(fd.get(), file.path));
  if (!S_ISREG(status.st_mode) || status.st_dev != record.device || status.st_ino != record.inode ||
      static_cast<uint64_t>(status.st_size) != record.size ||
      (fcntl(fd.get(), F_GETFL) & O_ACCMODE) != O_RDWR)
    return make_error(Code::corrupt, file.path + ": the descriptor that was kept is another file's");
  file.fd = std::move(fd);
  file.size = record.size;
  file.device = record.device;
  file.inode = record.inode;
  file.marked = record.marked != 0;
  if (file.marked) TRY(change_mark(group_, file, true));
  last_id_ = std::max(last_id_, record.id);
  files_.emplace(record.id, std::move(file));
  return {};
}

Result<uint32_t> DataFiles::attach(std::string_view blob, uint64_t size) {
  TRY(check_blob_id(blob));
  if (size > kMaxDataFileSize || size % 4096 != 0)
    return make_error(Code::invalid_argument, fmt::format("blob {}: size {} of its cache file", blob, size));
  for (auto& [id, file] : files_) {
    if (file.blob != blob) continue;
    if (file.size != size)
      return make_error(
          Code::invalid_argument,
          fmt::format("blob {}: another image says it has {} bytes, this one {}", blob, file.size, size));
    TRY(mark(id, file, true));
    file.attached++;
    return id;
  }
  TRY_ASSIGN(DataFile file, open(blob, size));
  uint32_t id = ++last_id_;
  // Opened before its mark is what only this descriptor is.
  auto marked = write_down(id, file, false, file.fd.get());
  fault_point(91);
  if (marked) marked = mark(id, file, true);
  if (!marked) {
    state_.remove_file(id);
    return std::move(marked).error();
  }
  file.attached++;
  files_.emplace(id, std::move(file));
  return id;
}

Result<void> DataFiles::set_mark(uint32_t id, bool on) {
  DataFile* file = find(id);
  if (!file) return make_error(Code::not_found, fmt::format("data file {}: is not attached", id));
  return mark(id, *file, on);
}

bool DataFiles::release_if_unused(uint32_t id) {
  DataFile* file = find(id);
  if (!file || file->attached > 0 || file->mounts > 0 || held_by_others(file->fd.get())) return false;
  [[maybe_unused]] auto unmarked = mark(id, *file, false);  // nobody reads it: the mark goes with the inode
  files_.erase(id);
  fault_point(94);
  state_.remove_file(id);
  return true;
}

DataFile* DataFiles::find(uint32_t id) {
  auto found = files_.find(id);
  return found == files_.end() ? nullptr : &found->second;
}

}  // namespace fscached::keeper
