// The duty to answer one request.
#pragma once

#include <cerrno>
#include <cstdint>
#include <utility>

namespace fscached {

class Answerer {
 public:
  virtual ~Answerer() = default;
  // Reached only through Ticket, exactly once per part of a request. `error` 0 = let the reader go on.
  virtual void answer(uint32_t slot, int error) = 0;
};

// Dropped unanswered, the reader gets EIO.
class Ticket {
 public:
  Ticket(Answerer& answerer, uint32_t slot) : answerer_(&answerer), slot_(slot) {}
  Ticket(Ticket&& other) noexcept : answerer_(std::exchange(other.answerer_, nullptr)), slot_(other.slot_) {}
  Ticket& operator=(Ticket&& other) noexcept {
    if (this != &other) {
      answer(EIO);
      answerer_ = std::exchange(other.answerer_, nullptr);
      slot_ = other.slot_;
    }
    return *this;
  }
  ~Ticket() { answer(EIO); }

  void allow() { answer(0); }
  void fail() { answer(EIO); }

 private:
  void answer(int error) {
    if (Answerer* answerer = std::exchange(answerer_, nullptr)) answerer->answer(slot_, error);
  }
  Answerer* answerer_;
  uint32_t slot_;
};

}  // namespace fscached
