#include "mkfs/build_output.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "erofs-format/bootstrap/bootstrap_writer.h"

namespace mkfs {

namespace {

bool is_stream(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode);
}

}  // namespace

Result<BuildOutput> BuildOutput::open(const OutputPaths& paths) {
  BuildOutput output;
  output.paths_ = paths;
  output.blob_name_ = paths.blob ? *paths.blob : *paths.blob_dir;
  if (paths.blob && is_stream(*paths.blob)) {
    TRY_ASSIGN(output.stream_, os::open(*paths.blob, O_WRONLY));
    return output;
  }
  const std::string directory = paths.blob ? os::parent_directory(*paths.blob) : *paths.blob_dir;
  TRY_ASSIGN(output.pending_, os::PendingFile::create(directory));
  return output;
}

Result<std::string> BuildOutput::publish(const BuildResult& result) {
  // A build that found all its chunks in a dictionary has no blob, but a blob asked for by name is there.
  if (pending_ && (result.has_blob || paths_.blob))
    TRY(pending_->publish(paths_.blob ? os::base_name(*paths_.blob) : result.blob_id));
  if (paths_.inline_meta) return std::string();
  std::string path =
      paths_.bootstrap ? *paths_.bootstrap : *paths_.blob_dir + "/" + to_hex(sha256(result.bootstrap));
  TRY(os::publish_file(path, result.bootstrap));
  return path;
}

Result<std::string> publish_bootstrap(const Arguments& arguments, Tree& tree) {
  TRY_ASSIGN(Buffer image, drain_to_bootstrap(tree));
  std::string path = arguments.value_or("bootstrap", "");
  if (path.empty()) path = arguments.value_or("blob-dir", "") + "/" + to_hex(sha256(image));
  TRY(os::publish_file(path, image));
  return path;
}

}  // namespace mkfs
