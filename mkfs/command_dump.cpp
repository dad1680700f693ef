// dump: the tree of an image as text, one JSON object for each path.
#include <unistd.h>

#include "erofs-format/base/os.h"
#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/bootstrap/dump.h"
#include "mkfs/commands.h"
#include "mkfs/image_argument.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"blob-dir", 'D', "DIR", "folder of blobs: print sha256 instead of chunks (repeatable)"},
};

constexpr size_t kOutputBuffer = 64 << 10;

class Output {
 public:
  Result<void> line(std::string_view text) {
    buffer_.append(text).append("\n");
    return buffer_.size() < kOutputBuffer ? Result<void>() : flush();
  }
  Result<void> flush() {
    auto written = os::write_all(STDOUT_FILENO, as_bytes(buffer_), "standard output");
    buffer_.clear();
    return written;
  }

 private:
  std::string buffer_;
};

Result<void> run_dump(const Arguments& arguments) {
  TRY_ASSIGN(Tree tree, open_image_argument(arguments));
  std::unique_ptr<BlobReader> blobs;
  ContentDigest content;
  if (auto directories = arguments.values("blob-dir"); !directories.empty()) {
    TRY_ASSIGN(blobs, BlobReader::open(tree, directories));
    content = [&](InodeId id) { return blobs->file_digest(id); };
  }
  Output output;
  TRY(dump_tree(tree, content, [&](std::string_view line) { return output.line(line); }));
  return output.flush();
}

}  // namespace

const Command kDumpCommand = {"dump", "[--blob-dir DIR]... BOOTSTRAP",
                              "Prints every path of an image, one JSON object a line, sorted by path.",
                              kOptions, run_dump};

}  // namespace mkfs
