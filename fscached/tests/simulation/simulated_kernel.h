// A kernel that asks one of the backends, and readers that judge what they get.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fscached/kernel/keeper_link.h"
#include "fscached/kernel/kernel_backend.h"
#include "fscached/tests/simulation/scene.h"

namespace fscached {

struct ReaderCounters {
  uint64_t asked = 0;     // of the worker
  uint64_t answered = 0;  // by it
  uint64_t errors = 0;    // answered EIO
  uint64_t unasked = 0;   // readers that needed nobody
  uint64_t gone = 0;      // readers that did not wait for the answer
  uint64_t again = 0;     // asked of a successor what a dead worker had not answered
};

// Messages keep their borders; [0] is ours, [1] the worker's.
struct SocketPair {
  SocketPair();
  os::UniqueFd ours, theirs;
};

class SimulatedKernel {
 public:
  explicit SimulatedKernel(Scene& scene) : scene_(scene) {}
  virtual ~SimulatedKernel() = default;

  // --- a worker's life ---
  // A new one is about to start: its end of the socket to the keeper, if that has a part in it.
  virtual int prepare() = 0;
  virtual Result<std::unique_ptr<KernelBackend>> connect(KeeperLink& keeper) = 0;
  // What the keeper says first.
  virtual std::vector<keeper::Received> files() { return {}; }
  // Before its memory goes: what it has answered counts, and nothing from now on.
  virtual void cut_off() = 0;
  // Its descriptors go, too.
  void bury();

  // --- readers ---
  virtual void read(size_t blob, Extent range) = 0;
  // Something else that happens to a kernel.
  virtual void surprise() = 0;
  // Takes answers, hands out questions.
  virtual void turn() = 0;
  virtual size_t waiting() const = 0;
  // No worker lives: bytes of a file get lost or change, as far as promises cover that; a file goes, with
  // what is written about it, and comes again without a byte.
  virtual void rot(size_t blob) = 0;
  virtual void empty(size_t blob) = 0;
  void check_rest();
  const ReaderCounters& counters() const { return counters_; }

 protected:
  // Within the file.
  Extent clip(size_t blob, Extent range) const;
  int take_number(int fd, int flags);
  // Somebody reads it now.
  void see(size_t blob, Extent range, int fd);
  void check_error(size_t blob, Extent range, uint64_t asked);
  void lose_everything(size_t blob, const std::string& presence);
  void check_time(uint64_t since, const char* what);
  uint64_t now() const { return scene_.clock; }

  Scene& scene_;
  ReaderCounters counters_;
  std::vector<os::UniqueFd> files_;  // by blob, for reading and damage
  std::set<int> numbers_;            // given to the worker that lives, open or not
};

// Both live in the working directory.
std::unique_ptr<SimulatedKernel> simulate_fanotify(Scene& scene);
std::unique_ptr<SimulatedKernel> simulate_cachefiles(Scene& scene);

}  // namespace fscached
