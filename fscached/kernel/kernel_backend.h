// One kernel mechanism: files the kernel asks about, requests, answers. All calls on the loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "erofs-format/base/result.h"
#include "fscached/keeper/wire.h"
#include "fscached/kernel/cache_file.h"
#include "fscached/kernel/prune_wish.h"
#include "fscached/kernel/ticket.h"
#include "fscached/object/blob_layout.h"
#include "fscached/object/presence.h"

namespace fscached {

using ObjectId = uint32_t;  // of an attached file; 0 = none

// What one reader of an object waits for.
struct KernelRequest {
  ObjectId object = 0;
  uint64_t offset = 0;  // [offset, offset + count) need not lie inside the object
  uint64_t count = 0;
  int32_t pid = 0;  // of the reader; 0 = unknown
};

// What the backend tells.
class KernelSink {
 public:
  virtual ~KernelSink() = default;
  virtual void on_request(const KernelRequest& request, Ticket ticket) = 0;
  // Within `range`, the file holds data in `data` and nowhere else.
  virtual void on_kept(ObjectId id, Extent range, const std::vector<Extent>& data) = 0;
  // Nobody can ask about the file any more.
  virtual void on_released(ObjectId id) = 0;
};

// How the kernel knows an image. Names are at most keeper::kMaxCookieName long.
struct KernelName {
  uint32_t id = 0;  // the daemon's number; its bootstrap is <root>/mounts/<id>/image.boot
  std::string fsid;
  std::string domain;  // blobs are shared within it; empty = not shared
};

inline Error fsid_in_use(const KernelName& image) {
  return make_error(Code::invalid_argument, "fsid '" + image.fsid + "': is in use");
}

// The file of one blob.
struct AttachedFile {
  ObjectId id = 0;
  std::shared_ptr<CacheFile> file;
  std::string presence_path;
  // What the file holds from before; none when it is new, or attached already for another image.
  std::optional<Presence> presence;
  bool watched = true;    // as CacheFile::set_watched() left it
  uint64_t rehashed = 0;  // chunks of it that were verified just now
};

struct KernelCounters {
  uint64_t events = 0;
  uint64_t allowed = 0;
  uint64_t denied = 0;
  uint64_t orphans = 0;  // events of a worker that died
};

class KernelBackend : public Answerer {
 public:
  using Attached = std::function<void(Result<AttachedFile>)>;
  using Layout = std::shared_ptr<const BlobLayout>;
  virtual const char* name() const = 0;

  // Before start(): the files a predecessor had attached, which attach() then finds at once.
  virtual void restore(Loop& loop, KernelSink& sink, std::vector<keeper::Received> files) = 0;
  // Hands out what a predecessor left unanswered, then reads new requests. Images are restored before.
  virtual void start() = 0;

  // Where it is written down what the file of a blob holds.
  virtual std::string presence_path(const KernelName& image, const std::string& blob) const = 0;
  // All such files (*.presence) are below it.
  virtual const char* presence_folder() const = 0;
  // The file of a blob an image uses, from now until let_go(), which is owed once for each success.
  virtual void attach(const KernelName& image, Layout layout, Attached done) = 0;
  virtual void let_go(ObjectId id) = 0;
  // The image's metadata, while the kernel may mount it. Its name is taken at once, and until withdraw() no
  // other image can have it. `done` may run at once.
  virtual void offer(const KernelName& image, std::function<void(Result<void>)> done) = 0;
  virtual void withdraw(const KernelName& image) = 0;
  // Fills in what the keeper mounts it with, besides its name.
  virtual void describe_mount(const std::vector<ObjectId>& objects, keeper::Message& message) const = 0;
  // The image is mounted and cannot be served any more: readers of what is not there get EIO, and none waits.
  virtual void abandon(const KernelName& /*image*/) {}

  // What an operator types to mount it; `blobs`: ids in device order.
  virtual std::string mount_line(const KernelName& image, const std::vector<std::string>& blobs) const = 0;
  // Takes files of blobs away that no image uses. `done` gets the bytes that became free.
  virtual void prune(const PruneWish& wish, std::function<void(Result<uint64_t>)> done) = 0;

  // What the keeper says of files.
  virtual void on_notice(const keeper::Message& /*notice*/) {}

  virtual const KernelCounters& counters() const = 0;
  virtual size_t pending() const = 0;  // requests not answered
};

}  // namespace fscached
