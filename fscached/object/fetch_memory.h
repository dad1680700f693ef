// The memory that chunks under way may take, shared out so that a source that stalls cannot take it all.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>

namespace fscached {

enum class Urgency { reader, background };

// Who finds no memory waits: readers before background work, sources in turn, each source's own in order. A
// source may have twice what is free, so that those that stall leave room for the others; one that has
// nothing under way always may start, so that the most that is ever used is the limit and one fetch for each
// source.
class FetchMemory {
 public:
  // Whose bytes: a storage, or nullptr for what is local already.
  using Source = const void*;

  explicit FetchMemory(uint64_t bytes) : limit_(bytes) {}
  // Runs `start` at once or when memory is free.
  void acquire(Source source, uint64_t bytes, Urgency urgency, std::function<void()> start) {
    accounts_[source].queue(urgency).push_back({bytes, std::move(start)});
    serve();
  }
  void release(Source source, uint64_t bytes) {
    used_ -= bytes;
    accounts_[source].used -= bytes;
    serve();
  }
  uint64_t used() const { return used_; }
  size_t waiting() const {
    size_t count = 0;
    for (const auto& [source, account] : accounts_)
      count += account.readers.size() + account.background.size();
    return count;
  }

 private:
  struct Waiting {
    uint64_t bytes;
    std::function<void()> start;
  };
  struct Account {
    uint64_t used = 0;
    std::deque<Waiting> readers;
    std::deque<Waiting> background;
    std::deque<Waiting>& queue(Urgency urgency) { return urgency == Urgency::reader ? readers : background; }
  };
  using Accounts = std::map<Source, Account>;

  bool may_start(Account& account, Urgency urgency) const {
    if (account.queue(urgency).empty()) return false;
    if (urgency == Urgency::background && !account.readers.empty()) return false;
    if (account.used == 0) return true;
    uint64_t bytes = account.queue(urgency).front().bytes;
    return used_ + bytes <= limit_ && account.used + bytes <= 2 * (limit_ - used_);
  }
  // The next that may start, from the source behind the one that was served last.
  Account* next(Urgency urgency) {
    auto from = accounts_.upper_bound(last_);
    for (size_t i = 0; i < accounts_.size(); i++, ++from) {
      if (from == accounts_.end()) from = accounts_.begin();
      if (!may_start(from->second, urgency)) continue;
      last_ = from->first;
      return &from->second;
    }
    return nullptr;
  }
  void serve() {
    if (serving_) return;
    serving_ = true;
    for (;;) {
      Urgency urgency = Urgency::reader;
      Account* account = next(urgency);
      if (account == nullptr) account = next(urgency = Urgency::background);
      if (account == nullptr) break;
      Waiting waiting = std::move(account->queue(urgency).front());
      account->queue(urgency).pop_front();
      account->used += waiting.bytes;
      used_ += waiting.bytes;
      waiting.start();
    }
    std::erase_if(accounts_, [](const auto& entry) {
      return entry.second.used == 0 && entry.second.readers.empty() && entry.second.background.empty();
    });
    serving_ = false;
  }

  uint64_t limit_;
  uint64_t used_ = 0;
  bool serving_ = false;
  Source last_ = nullptr;
  Accounts accounts_;
};

}  // namespace fscached
