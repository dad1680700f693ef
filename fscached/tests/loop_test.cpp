#include "fscached/loop.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "erofs-format/base/os.h"

using namespace fscached;

namespace {

std::unique_ptr<Loop> make_loop(unsigned slots = 64) {
  auto loop = Loop::create(slots);
  REQUIRE(loop);
  return std::move(*loop);
}

os::UniqueFd temporary_file() {
  char path[] = "/tmp/loop-test-XXXXXX";
  os::UniqueFd fd(mkstemp(path));
  REQUIRE(fd.valid());
  unlink(path);
  return fd;
}

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    in.reset(fds[1]);
    out.reset(fds[0]);
  }
  void put() { REQUIRE(::write(in.get(), "x", 1) == 1); }
  void take() {
    char byte;
    REQUIRE(::read(out.get(), &byte, 1) == 1);
  }
  os::UniqueFd in, out;
};

}  // namespace

TEST_CASE("loop: timers fire in order of their deadline") {
  auto loop = make_loop();
  std::string order;
  loop->after_ms(30, [&](int32_t) {
    order += 'c';
    loop->stop();
  });
  loop->after_ms(0, [&](int32_t) { order += 'a'; });
  loop->after_ms(10, [&](int32_t) { order += 'b'; });
  REQUIRE(loop->run());
  CHECK(order == "abc");
}

TEST_CASE("loop: a cancelled timer does not fire, and its id stays dead") {
  auto loop = make_loop();
  bool fired = false;
  bool other = false;
  Loop::Id id = loop->after_ms(1, [&](int32_t) { fired = true; });
  loop->cancel(id);
  loop->after_ms(1, [&](int32_t) { other = true; });  // takes the slot of the cancelled one
  loop->cancel(id);                                   // must not touch the new one
  loop->after_ms(20, [&](int32_t) { loop->stop(); });
  REQUIRE(loop->run());
  CHECK_FALSE(fired);
  CHECK(other);
}

TEST_CASE("loop: a timer cancelled by another one of the same moment does not fire") {
  auto loop = make_loop();
  bool fired = false;
  Loop::Id second = 0;
  loop->after_ms(0, [&](int32_t) { loop->cancel(second); });
  second = loop->after_ms(0, [&](int32_t) { fired = true; });
  loop->after_ms(10, [&](int32_t) { loop->stop(); });
  REQUIRE(loop->run());
  CHECK_FALSE(fired);
}

TEST_CASE("loop: many file operations through few slots; bytes come back as written") {
  auto loop = make_loop(4);
  os::UniqueFd fd = temporary_file();
  constexpr size_t kPieces = 300, kSize = 4096;
  std::mt19937 random(7);
  std::vector<uint8_t> bytes(kPieces * kSize), back(bytes.size());
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  size_t left = kPieces;
  for (size_t i = 0; i < kPieces; i++) {
    loop->write(fd.get(), i * kSize, std::span(bytes).subspan(i * kSize, kSize), [&](int32_t result) {
      CHECK(result == kSize);
      if (--left == 0) loop->stop();
    });
  }
  REQUIRE(loop->run());
  loop->fdatasync(fd.get(), [&](int32_t result) {
    CHECK(result == 0);
    loop->stop();
  });
  REQUIRE(loop->run());
  left = kPieces;
  for (size_t i = 0; i < kPieces; i++) {
    loop->read(fd.get(), i * kSize, std::span(back).subspan(i * kSize, kSize), [&](int32_t result) {
      CHECK(result == kSize);
      if (--left == 0) loop->stop();
    });
  }
  REQUIRE(loop->run());
  CHECK(bytes == back);
}

TEST_CASE("loop: results are those of the system call") {
  auto loop = make_loop();
  os::UniqueFd fd = temporary_file();
  uint8_t byte = 1;
  int32_t end = -1, bad = 0;
  loop->read(fd.get(), 0, {&byte, 1}, [&](int32_t result) { end = result; });
  loop->read(-1, 0, {&byte, 1}, [&](int32_t result) {
    bad = result;
    loop->stop();
  });
  REQUIRE(loop->run());
  CHECK(end == 0);
  CHECK(bad == -EBADF);
}

TEST_CASE("loop: a multishot poll tells of every change until it cancels itself") {
  auto loop = make_loop();
  Pipe pipe;
  int seen = 0;
  Loop::Id id = 0;
  id = loop->poll(pipe.out.get(), POLLIN, [&](int32_t mask) {
    CHECK((mask & POLLIN) != 0);
    pipe.take();
    if (++seen == 3) {
      loop->cancel(id);
      pipe.put();
      loop->after_ms(10, [&](int32_t) { loop->stop(); });
      return;
    }
    pipe.put();
  });
  pipe.put();
  REQUIRE(loop->run());
  CHECK(seen == 3);
}

TEST_CASE("loop: poll_once is level-triggered") {
  auto loop = make_loop();
  Pipe pipe;
  pipe.put();
  int seen = 0;
  std::function<void(int32_t)> ready = [&](int32_t mask) {
    CHECK(mask == POLLIN);
    if (++seen == 5) return loop->stop();  // the byte was never taken
    loop->poll_once(pipe.out.get(), POLLIN, ready);
  };
  loop->poll_once(pipe.out.get(), POLLIN, ready);
  REQUIRE(loop->run());
  CHECK(seen == 5);
}

TEST_CASE("loop: the descriptor of a cancelled poll may be closed at once") {
  auto loop = make_loop();
  int wrong = 0;
  for (int round = 0; round < 20; round++) {
    auto pipe = std::make_shared<Pipe>();
    Loop::Id id = loop->poll(pipe->out.get(), POLLIN, [&](int32_t) { wrong++; });
    loop->after_ms(1, [&loop, pipe, id](int32_t) {
      loop->cancel(id);
      pipe->in.reset();
      pipe->out.reset();
    });
  }
  loop->after_ms(20, [&](int32_t) { loop->stop(); });
  REQUIRE(loop->run());
  CHECK(wrong == 0);
}

TEST_CASE("loop: post() from other threads runs every task, on the loop's thread") {
  auto loop = make_loop();
  constexpr int kThreads = 4, kTasks = 500;
  int ran = 0;
  std::thread::id owner = std::this_thread::get_id();
  std::atomic<bool> elsewhere = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; i++) {
        loop->post([&] {
          if (std::this_thread::get_id() != owner) elsewhere = true;
          if (++ran == kThreads * kTasks) loop->stop();
        });
      }
    });
  }
  REQUIRE(loop->run());
  for (auto& thread : threads) thread.join();
  CHECK(ran == kThreads * kTasks);
  CHECK_FALSE(elsewhere);
}

TEST_CASE("loop: made on one thread, run on another") {
  auto loop = make_loop();
  bool fired = false;
  loop->after_ms(1, [&](int32_t) {
    fired = true;
    loop->stop();
  });
  std::thread runner([&] { CHECK(loop->run()); });
  runner.join();
  CHECK(fired);
}

TEST_CASE("loop: waits without working") {
  auto loop = make_loop();
  Pipe pipe;
  loop->poll(pipe.out.get(), POLLIN, [](int32_t) {});
  loop->after_ms(300, [&](int32_t) { loop->stop(); });
  rusage before = {}, after = {};
  getrusage(RUSAGE_THREAD, &before);
  REQUIRE(loop->run());
  getrusage(RUSAGE_THREAD, &after);
  auto cpu_us = [](const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  CHECK(cpu_us(after) - cpu_us(before) < 150'000);  // a loop that spins takes all 300 ms of the processor
}

TEST_CASE("loop: destroyed with a read that never ends") {
  Pipe pipe;
  uint8_t byte = 0;
  bool ran = false;
  {
    auto loop = make_loop();
    fcntl(pipe.out.get(), F_SETFL, 0);
    loop->read(pipe.out.get(), 0, {&byte, 1}, [&](int32_t) { ran = true; });
    loop->after_ms(5, [&](int32_t) { loop->stop(); });
    REQUIRE(loop->run());
  }
  CHECK_FALSE(ran);
}
