// Where the bytes of one blob are kept, as the mechanism of the kernel wants them.
#pragma once

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "fscached/loop.h"

namespace fscached {

using namespace erofs_format;

inline constexpr uint64_t kPageSize = 4096;

// Bytes [offset, offset + size) of a cache file.
struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

class CacheFile {
 public:
  virtual ~CacheFile() = default;
  // Whole pages from page-aligned memory, which must live until `done`. Short results are possible.
  virtual void write(uint64_t offset, ByteView pages, Loop::Done done) = 0;
  // What was written before is on the disk when `done` gets 0.
  virtual void sync(Loop::Done done) = 0;
  // Bytes written before; on any thread.
  virtual Result<void> read(uint64_t offset, MutableBytes into) const = 0;
  // Where the mechanism can: the next read() comes from the disk.
  virtual void drop_cached(Extent /*range*/) {}
  // What is there is wrong: from now on it must be asked for.
  virtual void discard(Extent /*range*/) {}
  // Off when every byte anybody can ask for is there: then the kernel need not ask any more.
  virtual void set_watched(bool on) = 0;
};

}  // namespace fscached
