#include <doctest/doctest.h>

#include <vector>

#include "fscached/kernel/ticket.h"

using namespace fscached;

namespace {

struct FakeBackend final : Answerer {
  void answer(uint32_t slot, int error) override { answers.emplace_back(slot, error); }
  std::vector<std::pair<uint32_t, int>> answers;
};

using Answers = std::vector<std::pair<uint32_t, int>>;

}  // namespace

TEST_CASE("ticket: answered exactly once") {
  FakeBackend backend;
  {
    Ticket ticket(backend, 3);
    ticket.allow();
    ticket.fail();
    ticket.allow();
  }
  CHECK(backend.answers == Answers{{3, 0}});
}

TEST_CASE("ticket: dropped unanswered is EIO") {
  FakeBackend backend;
  { Ticket ticket(backend, 5); }
  CHECK(backend.answers == Answers{{5, EIO}});
}

TEST_CASE("ticket: the duty moves, and overwriting one answers it") {
  FakeBackend backend;
  {
    Ticket first(backend, 1);
    Ticket second(std::move(first));
    Ticket third(backend, 2);
    third = std::move(second);
    CHECK(backend.answers == Answers{{2, EIO}});
    third.allow();
  }
  CHECK(backend.answers == Answers{{2, EIO}, {1, 0}});
}
