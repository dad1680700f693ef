#include "fscached/kernel/marked_file.h"

#include <fcntl.h>

#include "erofs-format/base/log.h"

namespace fscached {

void MarkedFile::write(uint64_t offset, ByteView pages, Loop::Done done) {
  loop_.write(file_.get(), offset, pages, std::move(done));
}

void MarkedFile::sync(Loop::Done done) { loop_.fdatasync(file_.get(), std::move(done)); }

Result<void> MarkedFile::read(uint64_t offset, MutableBytes into) const {
  return os::pread_exact(file_.get(), offset, into, "cache file");
}

// Advice: pages that are being written stay.
void MarkedFile::drop_cached(Extent range) {
  posix_fadvise(file_.get(), static_cast<off_t>(range.offset), static_cast<off_t>(range.size),
                POSIX_FADV_DONTNEED);
}

void MarkedFile::set_watched(bool on) {
  keeper::Message message;
  message.op = keeper::Op::set_mark;
  message.id = id_;
  message.flags = on ? uint32_t{keeper::kMarked} : 0;
  keeper_.call(message, [](const Result<keeper::Received>& reply) {
    // ENOENT: released meanwhile, with its mark.
    if (!reply && reply.error().sys_errno != ENOENT)
      log_line(LogLevel::error, "fanotify", reply.error().message);
  });
}

}  // namespace fscached
