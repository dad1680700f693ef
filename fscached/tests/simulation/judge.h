// What must hold in a simulation, and the first thing that did not.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fscached {

class Judge {
 public:
  bool content() const { return verdict_.empty(); }
  const std::string& verdict() const { return verdict_; }
  template <typename... Arguments>
  void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (content()) verdict_ = fmt::format(format, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
  void expect(bool holds, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (!holds) fail(format, std::forward<Arguments>(arguments)...);
  }

 private:
  std::string verdict_;
};

// Something that was done to what a source gave, from which an EIO may come.
struct Fault {
  size_t blob = 0;
  size_t source = 0;
  uint64_t from = 0, to = 0;      // stored bytes it touches
  uint64_t began = 0, ended = 0;  // nanoseconds; UINT64_MAX: not yet
  bool slow = false;              // nothing worse than late
};

class Faults {
 public:
  size_t add(Fault fault) {
    all_.push_back(fault);
    return all_.size() - 1;
  }
  Fault& operator[](size_t index) { return all_[index]; }
  // Whether one of `source` touched stored bytes [from, to), and was known between two times.
  bool touched(const Fault& asked) const {
    for (const Fault& fault : all_)
      if (!fault.slow && fault.blob == asked.blob && fault.source == asked.source && fault.from < asked.to &&
          asked.from < fault.to && asked.began <= fault.ended && fault.ended <= asked.ended)
        return true;
    return false;
  }
  bool slow_between(uint64_t began, uint64_t ended) const {
    for (const Fault& fault : all_)
      if (fault.slow && fault.began <= ended && began <= fault.ended) return true;
    return false;
  }
  size_t count() const { return all_.size(); }

 private:
  std::vector<Fault> all_;
};

}  // namespace fscached
