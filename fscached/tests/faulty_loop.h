// A loop whose file operations fail when a test says so: what a disk may answer, on every operation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "fscached/loop.h"

namespace fscached {

class FaultyLoop final : public Loop {
 public:
  enum class Operation { read, write, sync };
  // Nothing: as it is. Negative: this error, and nothing is done. Positive: only so many bytes are asked for.
  using Fault = std::function<std::optional<int32_t>(Operation)>;

  explicit FaultyLoop(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
  Fault fault = [](Operation) { return std::nullopt; };

  Id poll(int fd, uint32_t events, Done ready) override { return loop_->poll(fd, events, std::move(ready)); }
  Id poll_once(int fd, uint32_t events, Done ready) override {
    return loop_->poll_once(fd, events, std::move(ready));
  }
  Id after_ms(uint64_t milliseconds, Done fired) override {
    return loop_->after_ms(milliseconds, std::move(fired));
  }
  Id read(int fd, uint64_t offset, std::span<uint8_t> into, Done done) override {
    std::optional<int32_t> result = fault(Operation::read);
    if (result && *result < 0) return refuse(*result, std::move(done));
    return loop_->read(fd, offset, shortened(into, result), std::move(done));
  }
  Id write(int fd, uint64_t offset, std::span<const uint8_t> bytes, Done done) override {
    std::optional<int32_t> result = fault(Operation::write);
    if (result && *result < 0) return refuse(*result, std::move(done));
    return loop_->write(fd, offset, shortened(bytes, result), std::move(done));
  }
  Id fdatasync(int fd, Done done) override {
    std::optional<int32_t> result = fault(Operation::sync);
    if (result && *result < 0) return refuse(*result, std::move(done));
    return loop_->fdatasync(fd, std::move(done));
  }
  void cancel(Id id) override { loop_->cancel(id); }
  void post(std::function<void()> task) override { loop_->post(std::move(task)); }
  Result<void> run() override { return loop_->run(); }
  void stop() override { loop_->stop(); }
  uint64_t now_ns() const override { return loop_->now_ns(); }

 private:
  template <typename Byte>
  static std::span<Byte> shortened(std::span<Byte> bytes, std::optional<int32_t> result) {
    return result ? bytes.first(std::min(bytes.size(), static_cast<size_t>(*result))) : bytes;
  }
  Id refuse(int32_t result, Done done) {
    return loop_->after_ms(0, [result, done = std::move(done)](int32_t) { done(result); });
  }
  std::unique_ptr<Loop> loop_;
};

}  // namespace fscached
