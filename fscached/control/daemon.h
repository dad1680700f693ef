// The worker: everything that knows images, blobs and storages. State belongs to the loop
// thread; control threads reach it through on_loop() and ask().
#pragma once

#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fscached/control/config.h"
#include "fscached/control/connection_gate.h"
#include "fscached/control/source_settings.h"
#include "fscached/kernel/keeper_link.h"
#include "fscached/kernel/kernel_backend.h"
#include "fscached/object/blob_object.h"
#include "fscached/object/image.h"

namespace fscached {

struct MountedImage {
  std::string mountpoint;
  std::string name;  // as the user gave it: a bootstrap or a reference
  std::string where;
  KernelName kernel_name;
  std::vector<ObjectId> objects;  // in device order
  uint64_t inodes = 0;
  uint64_t bytes = 0;
  bool shown = false;    // proved, and mounted unless `mountpoint` is empty
  bool lingers = false;  // unmounted here, the superblock lives on elsewhere
  bool added() const { return shown && mountpoint.empty(); }
};

class Daemon final : public KernelSink {
 public:
  Daemon(Config config, Loop& loop, std::unique_ptr<KernelBackend> backend, KeeperLink& link);
  ~Daemon() override;

  // Before the loop runs: what a predecessor had mounted is served again.
  void restore(KeeperLink::Introduction introduction);
  void start();

  // Runs `task` on the loop thread and waits for what it returns. Never called there.
  template <typename T>
  T on_loop(std::function<T()> task) {
    // Shared: the loop thread is still inside set_value() when this one goes on.
    auto promise = std::make_shared<std::promise<T>>();
    loop_.post([&task, promise] { promise->set_value(task()); });
    return promise->get_future().get();
  }
  // The same for tasks that finish later by calling what they are given.
  template <typename T>
  T ask(std::function<void(std::function<void(T)>)> task) {
    auto promise = std::make_shared<std::promise<T>>();
    loop_.post([&task, promise] { task([promise](T value) { promise->set_value(std::move(value)); }); });
    return promise->get_future().get();
  }

  void on_request(const KernelRequest& request, Ticket ticket) override;
  void on_kept(ObjectId id, Extent range, const std::vector<Extent>& data) override;
  void on_released(ObjectId id) override;

  // --- loop thread ---
  uint32_t new_mount_number() { return ++last_mount_; }
  // The one that images with the same settings share.
  Result<std::shared_ptr<Storage>> storage(const SourceSettings& settings);
  // The object of an image's blob, new or extended; `done` may run at once. The image lets go of it when it
  // is gone.
  void attach(const KernelName& image, const std::shared_ptr<const BlobLayout>& layout,
              const std::shared_ptr<Storage>& source,
              std::function<void(Result<std::shared_ptr<BlobObject>>)> done);
  // Forgets an image: nobody can ask for its data any more.
  void image_gone(uint32_t id);
  BlobObject* object(ObjectId id);
  std::map<uint32_t, MountedImage>& images() { return images_; }
  // Where images were mounted that the keeper found without anybody to serve them.
  const std::vector<std::string>& detached() const { return detached_; }
  std::map<ObjectId, std::shared_ptr<BlobObject>>& objects() { return objects_; }
  KeeperLink& keeper() { return link_; }
  KernelBackend& backend() { return *backend_; }
  // Any thread.
  ConnectionGate& gate() { return gate_; }
  // Starts what follows a mount: marks of complete blobs go, the rest may come in the background.
  void image_shown(uint32_t id);

  // Whether the presence of blobs that were let go is on its way to the disk.
  bool is_saving() const { return !releasing_.empty(); }
  const Config& config() const { return config_; }
  const ObjectCounters& object_counters() const { return object_counters_; }
  const StorageCounters& storage_counters() const { return storage_counters_; }
  uint64_t memory_used() const { return memory_.used(); }
  uint64_t started_ns() const { return started_ns_; }
  Loop& loop() { return loop_; }

 private:
  void on_notice(const keeper::Message& message);
  void on_keeper_lost();
  void open_through_keeper(const std::string& folder, const std::string& blob_id,
                           std::function<void(Result<os::UniqueFd>)> done);
  void restore_image(const keeper::Message& mount);
  Result<void> try_restore_image(uint32_t id, MountedImage& image);
  Result<std::shared_ptr<BlobObject>> adopt(AttachedFile attached, std::shared_ptr<const BlobLayout> layout,
                                            std::shared_ptr<Storage> source);
  void save_changes();
  void stop();
  void hand_over();
  void save_when_answered(uint64_t deadline_ns);
  void save_and_exit();
  void exit_when_saved();
  void complete_in_background(ObjectId id);
  ObjectEnvironment environment();

  Config config_;
  Loop& loop_;
  std::unique_ptr<KernelBackend> backend_;
  KeeperLink& link_;
  ObjectCounters object_counters_;
  StorageCounters storage_counters_;
  FetchMemory memory_;
  std::map<SourceSettings, std::weak_ptr<Storage>> storages_;
  std::map<ObjectId, std::shared_ptr<BlobObject>> objects_;
  std::map<uint32_t, MountedImage> images_;
  std::vector<std::string> detached_;
  uint32_t last_mount_ = 0;
  // Presence files that are being written because their blobs were let go; who waits to attach those again.
  std::map<std::string, std::vector<std::function<void()>>> releasing_;
  bool stopping_ = false;
  ConnectionGate gate_;
  uint64_t started_ns_ = 0;
  DecodePool pool_;  // last: its threads end before what they use
};

}  // namespace fscached
