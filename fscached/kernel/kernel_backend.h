// Turns one kernel mechanism into requests and answers. All calls on the loop thread.
#pragma once

#include <cstdint>
#include <utility>

#include "erofs-format/base/result.h"
#include "fscached/loop.h"

namespace fscached {

using ObjectId = uint32_t;  // the keeper's number of a data file; 0 = none

// What one reader of an object waits for.
struct KernelRequest {
  ObjectId object = 0;
  uint64_t offset = 0;  // [offset, offset + count) need not lie inside the object
  uint64_t count = 0;
  int32_t pid = 0;  // of the reader; 0 = unknown
};

class KernelBackend {
 public:
  virtual ~KernelBackend() = default;
  // Reached only through Ticket, exactly once per part of a request. `error` 0 = let the reader go on.
  virtual void answer(uint32_t slot, int error) = 0;
  // Readers of this object become requests from now on.
  virtual void add_object(ObjectId id, uint64_t device, uint64_t inode) = 0;
  virtual void remove_object(ObjectId id) = 0;
};

// The duty to answer one request. Dropped unanswered, the reader gets EIO.
class Ticket {
 public:
  Ticket(KernelBackend& backend, uint32_t slot) : backend_(&backend), slot_(slot) {}
  Ticket(Ticket&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)), slot_(other.slot_) {}
  Ticket& operator=(Ticket&& other) noexcept {
    if (this != &other) {
      answer(EIO);
      backend_ = std::exchange(other.backend_, nullptr);
      slot_ = other.slot_;
    }
    return *this;
  }
  ~Ticket() { answer(EIO); }

  void allow() { answer(0); }
  void fail() { answer(EIO); }

 private:
  void answer(int error) {
    if (KernelBackend* backend = std::exchange(backend_, nullptr)) backend->answer(slot_, error);
  }
  KernelBackend* backend_;
  uint32_t slot_;
};

class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void on_request(const KernelRequest& request, Ticket ticket) = 0;
};

}  // namespace fscached
