#include "fscached/keeper/probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/ondisk/erofs.h"
#include "fscached/kernel/cachefiles_abi.h"
#include "fscached/kernel/fanotify_abi.h"

namespace fscached::keeper {

namespace {

// In the root, without a name; /proc/self/fd leads to it.
Result<os::UniqueFd> nameless_file(const std::string& root) {
  std::string path = root + "/probe-XXXXXX";
  os::UniqueFd file(mkostemp(path.data(), O_CLOEXEC));
  if (!file.valid() || unlink(path.c_str()) != 0) return errno_error(root);
  return file;
}

std::string path_of(const os::UniqueFd& file) { return fmt::format("/proc/self/fd/{}", file.get()); }

Result<os::UniqueFd> open_context() {
  os::UniqueFd context(fsopen("erofs", FSOPEN_CLOEXEC));
  if (!context.valid())
    return errno_error(errno == ENODEV ? "EROFS (EROFS_FS in this kernel? modprobe erofs)"
                                       : "EROFS (needs CAP_SYS_ADMIN)");
  return context;
}

// A superblock and a root directory without entries but its own two.
Buffer empty_image() {
  constexpr size_t kBlock = 4096, kSuper = 1024, kInodeSlot = 32;
  constexpr uint16_t kRootNid = 36, kNameAt = 24, kDirectory = 2, kPlainInline = 2 << 1;
  Buffer image(2 * kBlock);
  ondisk::erofs_super_block super = {};
  super.magic = ondisk::kSuperMagic;
  super.blkszbits = 12;
  super.root_nid = kRootNid;
  super.inos = 1;
  super.blocks = 2;
  std::memcpy(image.data() + kSuper, &super, sizeof(super));
  struct {
    le16 format{kPlainInline}, xattrs{0}, mode{040755}, links{2};
    le32 size{2 * 12 + 3}, reserved{0}, unused{0}, ino{1};
    le16 uid{0}, gid{0};
    le32 reserved2{0};
  } inode;
  struct {
    le64 nid{kRootNid};
    le16 name;
    uint8_t type = kDirectory, reserved = 0;
  } entries[2];
  entries[0].name = kNameAt;
  entries[1].name = kNameAt + 1;
  uint8_t* at = image.data() + kRootNid * kInodeSlot;
  std::memcpy(at, &inode, sizeof(inode));
  std::memcpy(at + sizeof(inode), entries, sizeof(entries));
  std::fill_n(at + sizeof(inode) + sizeof(entries), 3, '.');  // the names: one dot, two dots
  return image;
}

}  // namespace

// Kernels without the option take it, say so in the log of the context and go on.
Result<void> probe_fsid_option() {
  TRY_ASSIGN(os::UniqueFd context, open_context());
  bool taken = fsconfig(context.get(), FSCONFIG_SET_STRING, "fsid", "probe", 0) == 0;
  char line[512];
  ssize_t size = read(context.get(), line, sizeof(line));
  if (taken && size <= 0) return {};
  return make_error(Code::unsupported,
                    "EROFS takes no option fsid (EROFS_FS_ONDEMAND in this kernel? Linux 5.19 to 7.1)");
}

Result<os::UniqueFd> open_cachefiles_device() {
  os::UniqueFd device(::open(abi::kCachefilesDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (device.valid()) return device;
  const char* hint = errno == ENOENT  ? " (CACHEFILES in this kernel? modprobe cachefiles)"
                     : errno == EPERM ? " (needs CAP_SYS_ADMIN)"
                     : errno == EBUSY ? " (another daemon has it)"
                                      : "";
  return errno_error(fmt::format("{}{}", abi::kCachefilesDevice, hint));
}

Result<os::UniqueFd> open_fanotify_group() {
  os::UniqueFd group(fanotify_init(
      FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
      O_RDONLY | O_LARGEFILE | O_CLOEXEC));
  if (group.valid()) return group;
  return errno_error(errno == EPERM    ? "fanotify group (needs CAP_SYS_ADMIN)"
                     : errno == EINVAL ? "fanotify group (FANOTIFY_ACCESS_PERMISSIONS in this kernel?)"
                                       : "fanotify group");
}

Result<void> probe_erofs_from_file(const std::string& root) {
  TRY_ASSIGN(os::UniqueFd image, nameless_file(root));
  TRY(os::pwrite_all(image.get(), 0, empty_image(), root));
  TRY_ASSIGN(os::UniqueFd context, open_context());
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "source", path_of(image).c_str(), 0) == 0 &&
      fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) == 0 &&
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    return {};
  return errno_error("EROFS from a file (EROFS_FS_BACKED_BY_FILE in this kernel? Linux 6.12 or later)");
}

Result<void> probe_pre_content_mark(const std::string& root) {
  TRY_ASSIGN(os::UniqueFd file, nameless_file(root));
  TRY_ASSIGN(os::UniqueFd group, open_fanotify_group());
  if (fanotify_mark(group.get(), FAN_MARK_ADD, abi::kFanPreAccess, AT_FDCWD, path_of(file).c_str()) == 0)
    return {};
  return errno_error(errno == EOPNOTSUPP
                         ? "pre-content events (the file system of the root: ext4, XFS and btrfs can)"
                         : "pre-content events (Linux 6.14 or later)");
}

}  // namespace fscached::keeper
