// A source that is right most of the time, and otherwise lies, fails, stalls or dawdles. What it did is
// written down, so that whoever sees an error can be asked for the reason.
#pragma once

#include "fscached/storage/storage.h"
#include "fscached/tests/simulation/choices.h"
#include "fscached/tests/simulation/judge.h"
#include "fscached/tests/simulation/simulated_blob.h"

namespace fscached {

struct SourceHabits {
  bool gone = false;    // nobody is there
  bool honest = false;  // right and quick, whatever the rest says
  unsigned one_fault_in = 8;
  uint64_t stall_ms = 0;  // how long a stall lasts
};

class SimulatedStorage final : public Storage {
 public:
  SimulatedStorage(Loop& loop, Choices& choices, const std::vector<SimulatedBlob>& blobs, Faults& faults,
                   const SourceHabits& habits, size_t index)
      : loop_(loop), choices_(choices), blobs_(blobs), faults_(faults), habits_(habits), index_(index) {}
  FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) override;
  void cancel(FetchId) override {}
  void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) override;
  std::string describe() const override { return "simulated"; }
  size_t under_way() const { return under_way_; }

 private:
  // What becomes of one read.
  struct Deed {
    uint64_t delay_ms = 0;
    bool fails = false;
    Buffer bytes;
    Fault fault;
    bool is_fault = false;
  };
  Deed decide(size_t blob, uint64_t offset, size_t size);
  void lie(Deed& deed, size_t blob);

  Loop& loop_;
  Choices& choices_;
  const std::vector<SimulatedBlob>& blobs_;
  Faults& faults_;
  const SourceHabits& habits_;
  size_t index_;
  size_t under_way_ = 0;
  FetchId last_ = 0;
};

}  // namespace fscached
