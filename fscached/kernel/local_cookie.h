// A file of the cache whose bytes are a local file: a bootstrap the daemon keeps, validated.
#pragma once

#include <functional>

#include "fscached/kernel/cookie.h"
#include "fscached/object/pages.h"

namespace fscached {

class LocalCookie : public std::enable_shared_from_this<LocalCookie> {
 public:
  using Filled = std::function<void(Result<void>)>;
  LocalCookie(Loop& loop, std::shared_ptr<Cookie> cookie, os::UniqueFd source)
      : loop_(loop), cookie_(std::move(cookie)), source_(std::move(source)) {}

  // Copies a range into the cache, in steps.
  void fill(Extent range, Filled filled);

 private:
  struct Step {
    Extent rest;
    Pages pages;
    size_t done = 0;  // bytes of `pages` read, then written
    Filled filled;
  };
  void next(const std::shared_ptr<Step>& step);
  void read(const std::shared_ptr<Step>& step);
  void write(const std::shared_ptr<Step>& step);

  Loop& loop_;
  std::shared_ptr<Cookie> cookie_;
  os::UniqueFd source_;
};

}  // namespace fscached
