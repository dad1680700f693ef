// export: an image as a disk.
#include <fmt/format.h>

#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "mkfs/commands.h"
#include "mkfs/flat_disk.h"
#include "mkfs/image_argument.h"
#include "mkfs/verity.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"block", 0, "", "as a block device that the kernel mounts (the only form)"},
    {"bootstrap", 'B', "FILE", "the image"},
    {"localfs-dir", 'D', "DIR", "folder of blobs (repeatable)", "blob-dir"},
    {"output", 'O', "FILE", "the disk to write (DIR/NAME.disk)"},
    {"verity", 0, "", "append the hashes of dm-verity and print the options of veritysetup"},
    {"threads", 0, "N", "accepted, has no effect"},
    {"config", 'C', "FILE", "not supported yet"},
    kLogLevelOption,
    kLogFileOption,
};

constexpr std::string_view kNotYet[] = {"config"};

Result<void> check_options(const Arguments& arguments) {
  TRY(refuse_options(arguments, kNotYet, "not supported yet"));
  if (!arguments.has("block")) return usage_error("export: --block is missing");
  if (!arguments.has("bootstrap") || !arguments.has("localfs-dir"))
    return usage_error("export: --bootstrap and --localfs-dir are needed");
  if (!arguments.positional().empty()) return usage_error("export: the image is named by --bootstrap");
  return {};
}

Result<void> run_export(const Arguments& arguments) {
  TRY(check_options(arguments));
  std::string path = *arguments.value("bootstrap");
  auto folders = arguments.values("localfs-dir");
  std::string output = arguments.value_or("output", folders[0] + "/" + os::base_name(path) + ".disk");
  TRY_ASSIGN(OpenedBootstrap opened, open_with_bytes(path));
  const Tree& tree = opened.tree;
  TRY_ASSIGN(auto blobs, BlobReader::open(tree, folders));
  TRY_ASSIGN(auto file, os::PendingFile::create(os::parent_directory(output)));
  TRY_ASSIGN(uint64_t size, write_flat_disk(tree, opened.bytes, *blobs, file.fd(), output));
  std::string options;
  if (arguments.has("verity")) {
    TRY_ASSIGN(Verity verity, append_verity(file.fd(), size, tree.block_size, output));
    options = verity_options(verity) + "\n";
  }
  TRY(file.publish(os::base_name(output)));
  fmt::print("{}", options);
  return {};
}

}  // namespace

const Command kExportCommand = {"export", "--block [OPTIONS] --bootstrap FILE --localfs-dir DIR",
                                "Writes an image and its blobs as one disk that the kernel mounts.", kOptions,
                                run_export};

}  // namespace mkfs
