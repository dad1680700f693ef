// Pre-content events of data files (kernel/on-demand.md 4): read straight into the journal's
// memory, written down there, answered by number.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "erofs-format/base/os.h"
#include "fscached/keeper/journal.h"
#include "fscached/kernel/fanotify_wire.h"
#include "fscached/kernel/kernel_backend.h"

namespace fscached {

struct KernelCounters {
  uint64_t events = 0;
  uint64_t allowed = 0;
  uint64_t denied = 0;
  uint64_t orphans = 0;  // events of a worker that died
};

class FanotifyBackend final : public KernelBackend {
 public:
  // `group` is borrowed. Call before anything else opens descriptors: the numbers of
  // unanswered events of a dead worker are reserved here, so that no new event can get one.
  static Result<std::unique_ptr<FanotifyBackend>> create(int group, Journal journal);
  ~FanotifyBackend() override;

  // Hands the dead worker's events to `sink`, then starts reading new ones. Objects are added before.
  void start(Loop& loop, RequestSink& sink);

  void answer(uint32_t slot, int error) override;
  void add_object(ObjectId id, uint64_t device, uint64_t inode) override;
  void remove_object(ObjectId id) override;
  const KernelCounters& counters() const { return counters_; }
  size_t pending() const { return kMaxPendingEvents - journal_.free_slots(); }

 private:
  struct Key {
    uint64_t device;
    uint64_t inode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.inode * 0x9e3779b97f4a7c15u ^ key.device; }
  };
  // What the journal does not hold of a pending event.
  struct Pending {
    int32_t number = -1;
    uint32_t parts = 0;  // tickets not answered yet
    int error = 0;
  };

  FanotifyBackend(int group, Journal journal);
  Result<void> adopt();
  Result<void> reserve_number(int32_t number);
  void serve_orphans();
  void serve_candidates(uint32_t slot, const JournalSlot& orphan);
  void drain();
  bool read_events();
  void note(const FanotifyEvent& event);
  ObjectId object_of(int descriptor) const;
  void respond(int32_t number, int error);
  void hand_over(uint32_t slot, const KernelRequest& request);

  int group_;
  Journal journal_;
  Loop* loop_ = nullptr;
  RequestSink* sink_ = nullptr;
  Loop::Id poll_ = 0;
  bool full_ = false;  // stopped reading because no slot was free
  bool draining_ = false;
  std::vector<Pending> pending_;
  std::vector<uint32_t> orphans_;
  std::unordered_map<Key, ObjectId, KeyHash> objects_;
  std::vector<FanotifyEvent> events_;
  std::vector<std::pair<uint32_t, KernelRequest>> batch_;
  KernelCounters counters_;
};

}  // namespace fscached
