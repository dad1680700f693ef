// Sequential input that may be a FIFO, plain or compressed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to into.size() bytes; 0 = end. Errors name the source and the byte.
  virtual Result<size_t> read(MutableBytes into) = 0;
  // Passes over up to `size` bytes without reading them; how many. 0: only reading leads further.
  virtual Result<uint64_t> skip(uint64_t) { return uint64_t{0}; }
};

enum class StreamFormat { plain, gzip, zstd };

// What the first bytes say: gzip (1f 8b 08), zstd frame or skippable frame, else plain.
StreamFormat sniff(ByteView head);

// Bytes of a descriptor; those of a regular file can be skipped. `name` is for messages.
std::unique_ptr<ByteSource> make_fd_source(os::UniqueFd fd, std::string name);
// Inflated bytes of `compressed`: several gzip members or zstd frames in a row; a
// truncated or damaged stream and trailing garbage are Code::corrupt with the byte of the input. The
// zstd window is limited to 128 MiB (`--long=27`). gzip uses ISA-L.
std::unique_ptr<ByteSource> make_gzip_source(std::unique_ptr<ByteSource> compressed, std::string name);
std::unique_ptr<ByteSource> make_zstd_source(std::unique_ptr<ByteSource> compressed, std::string name);
// Sniffs and stacks; the head is not lost.
Result<std::unique_ptr<ByteSource>> make_sniffing_source(std::unique_ptr<ByteSource> source,
                                                         std::string name);
// Reads ahead of its user on a thread of its own, so that inflating and what follows overlap.
// Memory: `depth` buffers of `buffer_size` bytes.
std::unique_ptr<ByteSource> make_read_ahead_source(std::unique_ptr<ByteSource> source, size_t buffer_size,
                                                   size_t depth);

// `size` bytes of a file from `offset` on, in pieces that are gone when `take` has returned.
Result<void> read_in_pieces(int fd, uint64_t offset, uint64_t size, const std::string& name,
                            const std::function<Result<void>(ByteView)>& take);

}  // namespace erofs_format
