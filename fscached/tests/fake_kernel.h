// What a blob in the cache sees of a kernel: answers taken down, and a real file.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "fscached/kernel/cache_file.h"
#include "fscached/kernel/ticket.h"

namespace fscached {

struct FakeKernel final : Answerer {
  void answer(uint32_t slot, int error) override { answers[slot].push_back(error); }
  std::map<uint32_t, std::vector<int>> answers;
};

// A real file that takes only what the strictest kernel interface takes.
class FakeFile final : public CacheFile {
 public:
  // `watched`: what set_watched() was called with.
  FakeFile(Loop& loop, const std::string& path, uint64_t size, std::vector<bool>& watched)
      : loop_(loop), file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)), watched_(watched) {
    REQUIRE(ftruncate(file_.get(), static_cast<off_t>(size)) == 0);
  }
  void write(uint64_t offset, ByteView pages, Loop::Done done) override {
    CHECK(offset % kPageSize == 0);
    CHECK(pages.size() % kPageSize == 0);
    CHECK(reinterpret_cast<uintptr_t>(pages.data()) % kPageSize == 0);
    loop_.write(file_.get(), offset, pages, std::move(done));
  }
  void sync(Loop::Done done) override { loop_.fdatasync(file_.get(), std::move(done)); }
  Result<void> read(uint64_t offset, MutableBytes into) const override {
    return os::pread_exact(file_.get(), offset, into, "data");
  }
  void set_watched(bool on) override { watched_.push_back(on); }

 private:
  Loop& loop_;
  os::UniqueFd file_;
  std::vector<bool>& watched_;
};

}  // namespace fscached
