// What keeper and worker say to each other: one fixed message over a
// SOCK_SEQPACKET pair, at most one descriptor with it. Host order: both ends are this program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached::keeper {

using namespace erofs_format;

enum class Op : uint32_t {
  // Worker to keeper; each but `ready` is answered by `reply` with the same `request`.
  attach = 1,  // blob, size: create, size, open, mark -> id, device, inode, descriptor
  set_mark,    // id of the file; flags: kMarked or 0
  let_go,      // id of a file the worker attached: the image it was for is gone
  mount,       // id, path (empty: prove only), canary, files or fsid, attributes -> canary's bytes in `text`
  unmount,     // id -> flags: kLingers when the superblock lives on elsewhere
  forget,      // id of an image that was only proved, and is mounted nowhere
  open_blob,   // path of a folder, blob -> descriptor of FOLDER/BLOB, for reading
  ready,       // requests are answered from now on
  // Keeper to worker.
  reply,
  restored_file,   // id, blob, size, device, inode, flags, descriptor
  restored_mount,  // id, path, flags, fsid, domain
  restored_end,    // id: the highest mount number ever used
  gone_mount,      // id: the kernel let go of its superblock
  released_file,   // id: unmarked, nobody reads it
  stop,            // everything is unmounted: save and exit
  hand_over,       // save, serving on, and exit: a successor answers what is open then
};

enum : uint32_t {
  kMarked = 1,   // the kernel asks about the file
  kCreated = 2,  // the file is new: nothing an earlier presence file says is true
  kLingers = 4,  // unmounted here, alive in another mount namespace or held open
};

constexpr size_t kBlobIdLength = 64;
constexpr size_t kMaxFiles = 254;       // devices of one image
constexpr size_t kMaxCookieName = 240;  // of fsid, domain and cookie: the kernel panics on longer keys

struct Message {
  Op op = Op::ready;
  uint32_t request = 0;
  int32_t error = 0;  // errno of a reply, its words in `path`
  uint32_t id = 0;
  uint32_t flags = 0;
  uint32_t file_count = 0;
  uint64_t size = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t attributes = 0;  // MOUNT_ATTR_…
  char blob[kBlobIdLength] = {};
  uint32_t files[kMaxFiles] = {};
  char fsid[kMaxCookieName + 1] = {};    // NUL-terminated, as all text here
  char domain[kMaxCookieName + 1] = {};  // empty = none
  uint32_t text_size = 0;
  uint8_t text[kCanaryBytes] = {};
  char path[kMaxPath] = {};
  char canary[kMaxPath] = {};  // relative to the mount; empty = no canary
};

// Copies `from` with a NUL; false when it does not fit or holds one.
bool put_text(std::span<char> field, std::string_view from);
std::string text_of(std::span<const char> field);
// Makes it the report of a failure.
void fail_message(Message& message, const Error& error);

// One message. `descriptor` -1 = none.
Result<void> send_message(int socket, const Message& message, int descriptor = -1);
struct Received {
  Message message;
  os::UniqueFd descriptor;
};
// Code::cancelled when the other end is gone; errno EAGAIN when a non-blocking socket is empty.
Result<Received> receive_message(int socket);

}  // namespace fscached::keeper
