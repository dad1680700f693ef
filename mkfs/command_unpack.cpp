// unpack: an image as a tar stream.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <unordered_map>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "erofs-format/blob/blob_reader.h"
#include "mkfs/commands.h"
#include "mkfs/image_argument.h"
#include "mkfs/tar_writer.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "the same as BOOTSTRAP"},
    {"output", 0, "FILE", "the tar to write; - is standard output, a FIFO will do"},
    {"blob-dir", 'D', "DIR", "folder of blobs (repeatable)"},
    {"blob", 'b', "FILE", "the blob of an image that has one"},
    {"backend-type", 0, "TYPE", "not supported yet: blobs are files in a folder"},
    {"backend-config", 0, "JSON", "not supported yet"},
    {"backend-config-file", 0, "FILE", "not supported yet"},
    kLogLevelOption,
    kLogFileOption,
};

constexpr std::string_view kNotYet[] = {"backend-type", "backend-config", "backend-config-file"};

class Unpack {
 public:
  Unpack(const Tree& tree, BlobReader& blobs, TarWriter& tar) : tree_(tree), blobs_(blobs), tar_(tar) {}

  Result<void> run() {
    TRY(tar_.begin({".", "", false}, tree_.inodes[kRootInode]));
    TRY(walk_paths(tree_,
                   [&](const std::string& path, InodeId, InodeId id) { return add(path.substr(1), id); }));
    return tar_.finish();
  }

 private:
  Result<void> add(const std::string& path, InodeId id) {
    const Inode& inode = tree_.inodes[id];
    if (S_ISSOCK(inode.mode)) {
      log_line(LogLevel::warn, "unpack", printable(path) + ": tar has no sockets, skipped");
      return {};
    }
    bool linked = !inode.is_directory() && inode.nlink > 1;
    if (linked) {
      auto [first, added] = first_path_.try_emplace(id, path);
      if (!added) return tar_.begin({path, first->second, true}, inode);
    }
    TRY(tar_.begin({path, inode.target ? *inode.target : std::string(), false}, inode));
    for (ChunkId chunk : inode.chunks) {
      auto bytes = blobs_.chunk(chunk);
      if (!bytes) return std::move(bytes.error()).within(printable(path));
      TRY(tar_.content(*bytes));
    }
    return tar_.end();
  }

  const Tree& tree_;
  BlobReader& blobs_;
  TarWriter& tar_;
  std::unordered_map<InodeId, std::string> first_path_;
};

// --blob names one file whatever it is called: the tree then looks for that name.
Result<std::vector<std::string>> blob_folders(const Arguments& arguments, Tree& tree) {
  auto folders = arguments.values("blob-dir");
  auto blob = arguments.value("blob");
  if (!blob) return folders;
  if (tree.blobs.size() > 1)
    return make_error(Code::invalid_argument,
                      fmt::format("--blob: the image has {} blobs, use --blob-dir", tree.blobs.size()));
  for (Blob& only : tree.blobs) only.id = os::base_name(*blob);
  folders.insert(folders.begin(), os::parent_directory(*blob));
  return folders;
}

Result<void> run_unpack(const Arguments& arguments) {
  TRY(refuse_options(arguments, kNotYet, "not supported yet"));
  auto output = arguments.value("output");
  if (!output) return usage_error("unpack: --output is missing");
  TRY_ASSIGN(Tree tree, open_image_argument(arguments));
  TRY_ASSIGN(auto folders, blob_folders(arguments, tree));
  TRY_ASSIGN(auto blobs, BlobReader::open(tree, folders));
  auto write_to = [&](int fd, const std::string& name) {
    TarWriter tar(fd, name);
    return Unpack(tree, *blobs, tar).run();
  };
  if (*output == "-") return write_to(STDOUT_FILENO, "standard output");
  struct stat status = {};
  if (stat(output->c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    TRY_ASSIGN(os::UniqueFd fd, os::open(*output, O_WRONLY));
    return write_to(fd.get(), *output);
  }
  TRY_ASSIGN(auto file, os::PendingFile::create(os::parent_directory(*output)));
  TRY(write_to(file.fd(), *output));
  return file.publish(os::base_name(*output));
}

}  // namespace

const Command kUnpackCommand = {"unpack", "[OPTIONS] --output TAR BOOTSTRAP",
                                "Writes an image as a tar stream.", kOptions, run_unpack};

}  // namespace mkfs
