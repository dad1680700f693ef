// What the keeper needs of one kernel mechanism: the descriptor that must never be lost, the parameters of a
// mount, and whether the kernel has let a superblock go. Which one it is, only prepare.cpp knows.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/cache_owner.h"
#include "fscached/keeper/keeper_state.h"
#include "fscached/keeper/leftovers.h"
#include "fscached/keeper/wire.h"

namespace fscached::keeper {

using namespace erofs_format;

// Dropped when the kernel let the superblock go.
class Hold {
 public:
  virtual ~Hold() = default;
  virtual bool superblock_lives() = 0;
  // Whether a mount of this namespace shows it.
  virtual bool is_shown_by(const MountedErofs& mount) const = 0;
  // What a successor needs to hold on to it; -1 = nothing.
  virtual int descriptor() const { return -1; }
};

// One superblock to be made.
struct MountPlan {
  std::vector<std::pair<std::string, std::string>> parameters;  // as fsconfig(2) takes them
  // Mounted once and let go before the mount that stays: the cache files are only linked into the cache then.
  bool link_first = false;
  std::unique_ptr<Hold> hold;
};

class Mechanism {
 public:
  virtual ~Mechanism() = default;
  // As in `--backend`.
  virtual const char* name() const = 0;
  // What the worker reads events from.
  virtual int kernel_descriptor() const = 0;
  // -1 = the mechanism needs no journal.
  virtual int journal_descriptor() const { return -1; }
  // Tells a new worker of the files its predecessors attached.
  virtual Result<void> introduce(int /*socket*/) { return {}; }
  virtual void worker_ended() {}

  // Whether a superblock ends only when the worker took note of it: one that hangs has to be replaced first.
  virtual bool ends_through_worker() const { return false; }
  virtual Result<MountPlan> plan(const Message& message) = 0;
  // Of a mount a predecessor made; `kept`: the hold's descriptor.
  virtual Result<std::unique_ptr<Hold>> hold_again(const MountRecord& mount, os::UniqueFd kept) = 0;

  // Op::attach: answers on its own when it succeeds.
  virtual Result<Message> attach(const Message& message, int* descriptor);
  virtual Result<void> set_mark(const Message& message);
  virtual void let_go(uint32_t /*file*/) {}
  // Files nobody counts on any more; they are released by this call.
  virtual std::vector<uint32_t> release_unused() { return {}; }
};

// Both work in the root directory, which is the working directory. The first of each begins anew: it detaches
// what a dead daemon left mounted. The second goes on with what a predecessor left in the state.
Result<std::unique_ptr<Mechanism>> open_fanotify(const std::string& root, const WorkerUser& user,
                                                 KeeperState& state);
Result<std::unique_ptr<Mechanism>> take_over_fanotify(const std::string& root, KeeperState& state);

// Percent of the file system that stay free, 0 <= stop < cull < run < 100: below `stop` the kernel takes no
// more data for the cache.
struct SpaceLimits {
  uint64_t run = 2;
  uint64_t cull = 1;
  uint64_t stop = 0;
};
struct CacheLimits {
  SpaceLimits blocks, files;
};
Result<std::unique_ptr<Mechanism>> open_cachefiles(const std::string& root, const CacheLimits& limits,
                                                   const WorkerUser& user, KeeperState& state);
Result<std::unique_ptr<Mechanism>> take_over_cachefiles(KeeperState& state);

}  // namespace fscached::keeper
