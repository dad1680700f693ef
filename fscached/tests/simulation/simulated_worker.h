// One life of a worker: wired as control/daemon.cpp does it, without images and commands.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "fscached/object/blob_object.h"
#include "fscached/tests/simulation/simulated_kernel.h"

namespace fscached {

class SimulatedWorker final : public KernelSink {
 public:
  SimulatedWorker(Scene& scene, SimulatedKernel& kernel);
  // Killed, unless it rests.
  ~SimulatedWorker() override;
  void start();
  // Its kernel has cut it off in the middle of something: it stays as it is, in memory, and never runs again.
  static void leave(std::unique_ptr<SimulatedWorker> worker);

  void on_request(const KernelRequest& request, Ticket ticket) override;
  void on_kept(ObjectId id, Extent range, const std::vector<Extent>& data) override;
  void on_released(ObjectId) override {}

  // Runs one callback. False: nothing will ever happen any more.
  bool step() { return loop_.step(); }
  // What commands ask for.
  void scrub(size_t blob);
  void fetch(size_t blob);
  void save(bool clean);
  bool rests() const;
  void check_rest();

 private:
  void attach();
  void die();
  void save_changes();
  ObjectEnvironment environment();

  Scene& scene_;
  SimulatedKernel& kernel_;
  SimulatedLoop loop_;
  KeeperLink link_;
  std::unique_ptr<KernelBackend> backend_;
  std::unique_ptr<FetchMemory> memory_;
  ObjectCounters counters_;
  // In one piece: what goes by their addresses goes by their order.
  std::shared_ptr<std::vector<SimulatedStorage>> sources_;
  DecodePool pool_;
  std::vector<std::shared_ptr<BlobObject>> objects_;  // by id, from 1 on
  unsigned commands_ = 0;                             // under way
  bool dead_ = false;
};

}  // namespace fscached
