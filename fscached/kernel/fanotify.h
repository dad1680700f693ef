// Pre-content events of data files (kernel/on-demand.md 4): read straight into the journal's
// memory, written down there, answered by number.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/worker_pool.h"
#include "fscached/kernel/fanotify_wire.h"
#include "fscached/kernel/journal.h"
#include "fscached/kernel/keeper_link.h"
#include "fscached/kernel/kernel_backend.h"

namespace fscached {

class FanotifyBackend final : public KernelBackend {
 public:
  // `group` is borrowed. Call before anything else opens descriptors: the numbers of
  // unanswered events of a dead worker are reserved here, so that no new event can get one.
  static Result<std::unique_ptr<FanotifyBackend>> create(int group, Journal journal, KeeperLink& keeper);
  ~FanotifyBackend() override;

  const char* name() const override { return "fanotify"; }
  void restore(Loop& loop, KernelSink& sink, std::vector<keeper::Received> files) override;
  void start() override;
  const char* presence_folder() const override { return "blobs"; }
  std::string presence_path(const KernelName& image, const std::string& blob) const override;
  void attach(const KernelName& image, Layout layout, Attached done) override;
  void let_go(ObjectId id) override;
  // The bootstrap is a local file the kernel mounts by itself.
  void offer(const KernelName& image, std::function<void(Result<void>)> done) override;
  void withdraw(const KernelName& image) override { offered_.erase({image.domain, image.fsid}); }
  void describe_mount(const std::vector<ObjectId>& objects, keeper::Message& message) const override;
  std::string mount_line(const KernelName& image, const std::vector<std::string>& blobs) const override;
  void prune(const PruneWish& wish, std::function<void(Result<uint64_t>)> done) override;
  void on_notice(const keeper::Message& notice) override;
  void answer(uint32_t slot, int error) override;
  const KernelCounters& counters() const override { return counters_; }
  size_t pending() const override { return kMaxPendingEvents - journal_.free_slots(); }

 private:
  struct Known {
    ObjectId id = 0;
    std::string blob;
    std::shared_ptr<CacheFile> file;
  };
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

  FanotifyBackend(int group, Journal journal, KeeperLink& keeper);
  AttachedFile adopt_file(keeper::Received received);
  void ask_keeper(const Layout& layout, Attached done);
  void pruned();
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
  KeeperLink& keeper_;
  Loop* loop_ = nullptr;
  KernelSink* sink_ = nullptr;
  Loop::Id poll_ = 0;
  bool full_ = false;  // stopped reading because no slot was free
  bool draining_ = false;
  bool started_ = false;
  std::vector<Pending> pending_;
  std::vector<uint32_t> orphans_;
  std::unordered_map<Key, Known, KeyHash> objects_;
  std::set<std::pair<std::string, std::string>> offered_;  // domain and fsid
  std::map<std::string, keeper::Received> restored_;       // by blob; until start()
  std::vector<FanotifyEvent> events_;
  std::vector<std::pair<uint32_t, KernelRequest>> batch_;
  KernelCounters counters_;
  std::multiset<std::string> attaching_;  // blobs the keeper was asked for
  bool pruning_ = false;
  std::vector<std::function<void()>> after_prune_;  // attachments that wait for its end
  WorkerPool janitor_{1};                           // last: its thread ends before what it uses
};

}  // namespace fscached
