// One file of the kernel's cache. The kernel opens and closes it as mounts come and go, and again after a
// worker died; each opening brings a descriptor through which it is filled and reads are completed.
#pragma once

#include <memory>

#include "fscached/kernel/cache_directory.h"

namespace fscached {

class Cookie final : public CacheFile {
 public:
  // `size`: bytes, as `copen` tells the kernel.
  Cookie(Loop& loop, const CacheDirectory& directory, CookieName name, uint64_t size)
      : loop_(loop), directory_(directory), name_(std::move(name)), size_(size) {}

  const CookieName& name() const { return name_; }
  uint64_t size() const { return size_; }

  // The kernel opened it.
  void opened(os::UniqueFd descriptor);
  // The kernel closed it: no more requests.
  void closed();
  // The kernel asked for a range: what it really has there. From now on it takes writes.
  Result<std::vector<Extent>> on_read(Extent range);
  // Lets the reader of a request look again.
  Result<void> complete(uint32_t request);

  // Through the kernel's descriptor while it is open, so that the cache's limits hold; between two openings
  // into the file itself, which has a name from before its first mount on.
  void write(uint64_t offset, ByteView pages, Loop::Done done) override;
  void sync(Loop::Done done) override;
  Result<void> read(uint64_t offset, MutableBytes into) const override;
  void drop_cached(Extent range) override;
  void discard(Extent range) override;
  // The kernel asks only for what is not there.
  void set_watched(bool) override {}

 private:
  using SharedFd = std::shared_ptr<os::UniqueFd>;  // of each write under way: its number stays taken
  Result<SharedFd> linked_file();

  Loop& loop_;
  const CacheDirectory& directory_;
  CookieName name_;
  uint64_t size_;
  SharedFd descriptor_;
  bool takes_writes_ = false;  // the kernel has opened its file too
  SharedFd linked_;
};

}  // namespace fscached
