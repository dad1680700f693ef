// A cache file of the fanotify mechanism: opened by the keeper before it was marked, so that filling it
// raises no event.
#pragma once

#include "erofs-format/base/os.h"
#include "fscached/kernel/cache_file.h"
#include "fscached/kernel/keeper_link.h"

namespace fscached {

class MarkedFile final : public CacheFile {
 public:
  MarkedFile(Loop& loop, KeeperLink& keeper, uint32_t id, os::UniqueFd file)
      : loop_(loop), keeper_(keeper), id_(id), file_(std::move(file)) {}

  void write(uint64_t offset, ByteView pages, Loop::Done done) override;
  void sync(Loop::Done done) override;
  Result<void> read(uint64_t offset, MutableBytes into) const override;
  void drop_cached(Extent range) override;
  void set_watched(bool on) override;

 private:
  Loop& loop_;
  KeeperLink& keeper_;
  uint32_t id_;
  os::UniqueFd file_;
};

}  // namespace fscached
