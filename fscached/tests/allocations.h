// Every allocation of the program comes by here.
#pragma once

#include <cstdint>
#include <functional>

namespace fscached {

// So many calls of operator new on this thread since it began.
uint64_t allocations();

// As long as it lives, the `nth` allocation of this thread from now on calls `told` and throws
// std::bad_alloc.
class FailingAllocation {
 public:
  FailingAllocation(uint64_t nth, std::function<void()> told);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  bool happened() const;
};

// What allocates meanwhile neither counts nor fails: it is the test's own. With `own` false, an inner part
// that is not.
class OwnAllocations {
 public:
  explicit OwnAllocations(bool own = true);
  ~OwnAllocations();
  OwnAllocations(const OwnAllocations&) = delete;
  OwnAllocations& operator=(const OwnAllocations&) = delete;

 private:
  bool outer_;
};

}  // namespace fscached
