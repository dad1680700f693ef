// Where a build's blob and bootstrap go; nothing has its final name before
// everything is complete.
#pragma once

#include <optional>
#include <string>

#include "erofs-format/base/options.h"
#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "mkfs/build.h"

namespace mkfs {

struct OutputPaths {
  std::optional<std::string> blob;       // a file, FIFO or device of that name
  std::optional<std::string> blob_dir;   // else a file named by its id in this directory
  std::optional<std::string> bootstrap;  // else, with blob_dir, named by its SHA-256
  bool inline_meta = false;              // there is no bootstrap file
};

class BuildOutput {
 public:
  // Opens the blob; of a FIFO this waits for its reader.
  static Result<BuildOutput> open(const OutputPaths& paths);
  int blob_fd() const { return stream_.valid() ? stream_.get() : pending_->fd(); }
  const std::string& blob_name() const { return blob_name_; }
  // The blob gets its name, then the bootstrap; returns the bootstrap's path, empty without one.
  Result<std::string> publish(const BuildResult& result);

 private:
  OutputPaths paths_;
  std::string blob_name_;
  os::UniqueFd stream_;  // a FIFO or device, written as it goes
  std::optional<os::PendingFile> pending_;
};

// Writes the tree's bootstrap, which ends the tree, to the file --bootstrap names, or into the folder
// --blob-dir, named by its SHA-256; returns its path.
Result<std::string> publish_bootstrap(const Arguments& arguments, Tree& tree);

}  // namespace mkfs
