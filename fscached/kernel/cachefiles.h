// The on-demand mode of /dev/cachefiles (kernel/on-demand.md 1): the kernel names files by keys, opens them,
// and asks for what its own cache does not hold.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "fscached/kernel/cachefiles_wire.h"
#include "fscached/kernel/cookie.h"
#include "fscached/kernel/kernel_backend.h"
#include "fscached/kernel/local_cookie.h"

namespace fscached {

class CachefilesBackend final : public KernelBackend {
 public:
  // `device`: bound, borrowed.
  static Result<std::unique_ptr<CachefilesBackend>> create(int device);
  ~CachefilesBackend() override;

  const char* name() const override { return "cachefiles"; }
  void restore(Loop& loop, KernelSink& sink, std::vector<keeper::Received> files) override;
  void start() override;
  const char* presence_folder() const override { return "presence"; }
  std::string presence_path(const KernelName& image, const std::string& blob) const override;
  void attach(const KernelName& image, Layout layout, Attached done) override;
  void let_go(ObjectId id) override;
  void offer(const KernelName& image, std::function<void(Result<void>)> done) override;
  void withdraw(const KernelName& image) override;
  void describe_mount(const std::vector<ObjectId>&, keeper::Message&) const override {}
  void abandon(const KernelName& image) override;
  std::string mount_line(const KernelName& image, const std::vector<std::string>& blobs) const override;
  void prune(const PruneWish& wish, std::function<void(Result<uint64_t>)> done) override;
  void answer(uint32_t slot, int error) override;
  const KernelCounters& counters() const override { return counters_; }
  size_t pending() const override { return pending_.size() - free_.size(); }

 private:
  // A key the kernel may open.
  struct Known {
    std::shared_ptr<Cookie> cookie;
    ObjectId id = 0;                     // of a blob
    std::shared_ptr<LocalCookie> local;  // of a bootstrap: where its bytes are
    std::string shown_as;                // of a bootstrap, in sysfs
    bool may_open = true;                // false: only its name is taken so far
    unsigned uses = 1;
    bool is_abandoned() const { return id == 0 && !local; }
  };
  using KnownFiles = std::map<CookieName, Known>;
  struct Pending {
    std::shared_ptr<Cookie> cookie;  // none: nobody waits for it any more
    uint32_t request = 0;
  };

  CachefilesBackend(int device, os::UniqueFd watch);
  void drain();
  bool read_message();
  void handle(const CachefilesMessage& message);
  void on_open(const CachefilesMessage& message);
  void on_close(const CachefilesMessage& message);
  void refuse_open(uint32_t request);
  void on_read(const CachefilesMessage& message);
  Ticket take_slot(std::shared_ptr<Cookie> cookie, uint32_t request);
  Result<void> command(const std::string& line);
  AttachedFile add_blob(const CookieName& name, const BlobLayout& layout, std::optional<Presence> presence);
  Result<void> check_name(const KernelName& image) const;
  Result<void> add_bootstrap(const KernelName& image);
  void admit(const KernelName& image, const CookieName& name, const Layout& layout, Attached done);
  KnownFiles::iterator adopt_abandoned(const CookieName& name);
  void report_kept();

  int device_;
  os::UniqueFd watch_;  // an epoll of the device alone
  Loop* loop_ = nullptr;
  KernelSink* sink_ = nullptr;
  Loop::Id poll_ = 0;
  bool started_ = false;
  bool draining_ = false;
  bool full_ = false;  // stopped reading because no slot was free
  KnownFiles known_;
  std::map<CookieName, std::vector<std::function<void()>>> admitting_;  // and who waits to attach the same
  std::set<std::string> abandoned_;                                     // volumes
  std::map<uint32_t, CookieName> open_;  // by the kernel's number of the opening
  ObjectId last_id_ = 0;
  std::vector<Pending> pending_;
  std::vector<uint32_t> free_;
  std::unordered_map<uint32_t, uint32_t> slots_;  // by the kernel's number of the request
  KernelCounters counters_;
  CacheDirectory directory_;  // last: its thread ends before what it uses
};

}  // namespace fscached
