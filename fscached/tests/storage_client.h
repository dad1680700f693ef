// A loop and a storage on it, used as if they were synchronous.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fscached/loop.h"
#include "fscached/storage/storage.h"

namespace fscached {

// Small pauses; a deadline far beyond what a test takes.
inline StorageOptions quick_options() {
  StorageOptions options;
  options.backoff_first_ms = 2;
  options.read_timeout_ms = 20'000;
  return options;
}

inline size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count++;
  return count;
}

struct StorageClient {
  StorageClient(const std::string& where, const StorageOptions& options) {
    auto made = Loop::create(64);
    REQUIRE(made);
    loop = std::move(*made);
    auto opened = open_storage(*loop, where, counters, options);
    REQUIRE_MESSAGE(opened, where);
    storage = std::move(*opened);
  }

  Result<std::string> read(const std::string& blob_id, uint64_t offset, size_t bytes) {
    std::vector<uint8_t> into(bytes);
    std::optional<Result<void>> outcome;
    storage->read(blob_id, offset, into, [&](Result<void> result) {
      CHECK_FALSE(outcome);
      outcome = std::move(result);
      loop->stop();
    });
    CHECK_FALSE(outcome);
    REQUIRE(loop->run());
    REQUIRE(outcome);
    if (!*outcome) return std::move(outcome->error());
    return std::string(into.begin(), into.end());
  }

  // `count` pieces of `bytes` from the start, all at once; a failed one is empty.
  std::vector<std::string> read_many(const std::string& blob_id, size_t count, size_t bytes) {
    std::vector<std::vector<uint8_t>> into(count, std::vector<uint8_t>(bytes));
    std::vector<std::string> pieces(count);
    size_t left = count;
    for (size_t i = 0; i < count; i++) {
      storage->read(blob_id, i * bytes, into[i], [&, i](Result<void> result) {
        if (result) pieces[i].assign(into[i].begin(), into[i].end());
        if (--left == 0) loop->stop();
      });
    }
    REQUIRE(loop->run());
    return pieces;
  }

  Result<uint64_t> size(const std::string& blob_id) {
    std::optional<Result<uint64_t>> outcome;
    storage->size(blob_id, [&](Result<uint64_t> result) {
      outcome = std::move(result);
      loop->stop();
    });
    REQUIRE(loop->run());
    REQUIRE(outcome);
    return std::move(*outcome);
  }

  StorageCounters counters;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<Storage> storage;
};

}  // namespace fscached
