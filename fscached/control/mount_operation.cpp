// `mount` and `add`: bootstrap read and kept, chunk tables fetched, files attached, then the kernel.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/log.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "fscached/control/mount_record.h"
#include "fscached/control/operations.h"
#include "fscached/fault_point.h"
#include "fscached/object/raw_image.h"

namespace fscached {

using keeper::Message;
using keeper::Op;
using keeper::Received;

namespace {

Result<uint64_t> parse_attributes(const std::string& options) {
  uint64_t attributes = 0;
  for (size_t start = 0; start < options.size();) {
    size_t end = std::min(options.find(',', start), options.size());
    std::string word = options.substr(start, end - start);
    start = end + 1;
    if (word == "nodev")
      attributes |= MOUNT_ATTR_NODEV;
    else if (word == "nosuid")
      attributes |= MOUNT_ATTR_NOSUID;
    else if (word == "noexec")
      attributes |= MOUNT_ATTR_NOEXEC;
    else if (word == "noatime")
      attributes |= MOUNT_ATTR_NOATIME;
    else if (!word.empty() && word != "ro" && word != "defaults")
      return make_error(Code::invalid_argument,
                        fmt::format("mount option '{}' is not known", printable(word)));
  }
  return attributes;
}

// One image on its way to the kernel. Without a mountpoint it is only proved, for others to mount. Dropped
// before it is done, it takes back what it did.
class MountOperation {
 public:
  MountOperation(Daemon& daemon, const json& request, os::UniqueFd file)
      : daemon_(daemon),
        file_(std::move(file)),
        mountpoint_(text_field(request, "mountpoint")),
        bootstrap_(text_field(request, "bootstrap")),
        name_(text_field(request, "image")),
        source_settings_(source_settings_of(request)),
        options_(text_field(request, "options")) {
    if (name_.empty()) name_ = bootstrap_;
    kernel_name_.fsid = text_field(request, "fsid");
    kernel_name_.domain = request.contains("domain") ? text_field(request, "domain") : daemon.config().domain;
  }
  ~MountOperation();
  Result<json> run();

 private:
  Result<void> check();
  Result<void> check_mountpoint();
  Result<void> keep_image();
  Result<std::vector<std::string>> keep_bootstrap();
  void choose_fsid(const Digest& digest);
  Result<void> offer();
  Result<void> fetch_chunk_table(size_t index);
  Result<void> attach(size_t index);
  Result<Message> mount_message();
  Result<void> mount();
  json added();
  Result<void> compare_canary(const Message& answer);
  Result<Received> call(const Message& message);

  Daemon& daemon_;
  os::UniqueFd file_;  // the bootstrap
  std::string mountpoint_, bootstrap_, name_;
  SourceSettings source_settings_;
  std::string options_;
  uint64_t attributes_ = 0;
  KernelName kernel_name_;
  std::string folder_;
  std::shared_ptr<Storage> source_;
  ImageDescription image_;
  std::vector<ObjectId> objects_;
  bool offered_ = false;
  bool done_ = false;
};

MountOperation::~MountOperation() {
  if (done_) return;
  daemon_.on_loop<bool>([this] {
    for (ObjectId object : objects_) daemon_.backend().let_go(object);
    if (offered_) daemon_.backend().withdraw(kernel_name_);
    return true;
  });
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Result<Received> MountOperation::call(const Message& message) {
  return daemon_.ask<Result<Received>>(
      [&](KeeperLink::Reply reply) { daemon_.keeper().call(message, std::move(reply)); });
}

Result<void> MountOperation::check() {
  if (bootstrap_.empty()) return make_error(Code::invalid_argument, "mount: a bootstrap is needed");
  TRY_ASSIGN(attributes_, parse_attributes(options_));
  return mountpoint_.empty() ? Result<void>() : check_mountpoint();
}

Result<void> MountOperation::check_mountpoint() {
  struct stat status = {};
  if (stat(mountpoint_.c_str(), &status) != 0) {
    // Where this process may not look the keeper, which mounts, sees it.
    return errno == EACCES ? Result<void>() : errno_error(mountpoint_);
  }
  if (!S_ISDIR(status.st_mode)) return errno_error(mountpoint_, ENOTDIR);
  return {};
}

// Named by content unless the user did, with a number, so that one image can be mounted twice: in front,
// because some kernels tell superblocks apart by the first 36 characters of "DOMAIN,FSID".
void MountOperation::choose_fsid(const Digest& digest) {
  constexpr size_t kDigits = 32;
  if (kernel_name_.fsid.empty())
    kernel_name_.fsid = fmt::format("{}-{}", kernel_name_.id, to_hex(digest).substr(0, kDigits));
}

// The kernel mounts our own copy: validated, complete, local, never marked.
Result<std::vector<std::string>> MountOperation::keep_bootstrap() {
  TRY_ASSIGN(Buffer bytes, load_bootstrap(bootstrap_, file_.get()));
  TRY_ASSIGN(auto names, inlined_blob_names(bootstrap_, file_.get(), bytes.size()));
  TRY_ASSIGN(image_, describe_image(bytes, name_, names));
  TRY(os::publish_file(folder_ + "/image.boot", bytes, 0600));
  choose_fsid(sha256(bytes));
  return names;
}

Result<void> MountOperation::keep_image() {
  if (!file_.valid()) {
    TRY_ASSIGN(file_, os::open(bootstrap_, O_RDONLY));
  }
  kernel_name_.id = daemon_.on_loop<uint32_t>([&] { return daemon_.new_mount_number(); });
  folder_ = mount_folder(kernel_name_.id);
  TRY(os::make_directory(folder_, 0700));
  std::vector<std::string> names;
  if (source_settings_.where.empty()) {
    TRY(keep_raw_image(file_.get(), bootstrap_, folder_ + "/image.boot"));
    choose_fsid(sha256(as_bytes(name_)));
  } else {
    TRY_ASSIGN(names, keep_bootstrap());
  }
  return write_mount_record(folder_, {name_, source_settings_, names});
}

Result<void> MountOperation::offer() {
  TRY(daemon_.ask<Result<void>>([this](std::function<void(Result<void>)> done) {
    daemon_.backend().offer(kernel_name_, std::move(done));
  }));
  offered_ = true;
  return {};
}

Result<void> MountOperation::fetch_chunk_table(size_t index) {
  BlobUse& use = image_.blobs[index];
  ChunkTableLocation location = chunk_table_location(use.blob);
  if (location.size > kMaxChunkTableBytes)
    return make_error(Code::too_large, fmt::format("blob {}: chunk information of {} bytes, more than {}",
                                                   use.blob.id, location.size, kMaxChunkTableBytes));
  Buffer stored(location.size);
  TRY(daemon_.ask<Result<void>>([&](Storage::Done done) {
    source_->read(use.blob.meta_id(), location.offset, stored, std::move(done));
  }));
  TRY_ASSIGN(use.table, parse_chunk_table(use.blob, stored));
  return os::publish_file(table_path(folder_, index), stored, 0600);
}

Result<void> MountOperation::attach(size_t index) {
  BlobUse& use = image_.blobs[index];
  TRY_ASSIGN(auto layout, BlobLayout::create(use.blob, std::move(use.table), std::move(use.digests)));
  using Object = std::shared_ptr<BlobObject>;
  TRY_ASSIGN(Object object, daemon_.ask<Result<Object>>([&](std::function<void(Result<Object>)> done) {
    daemon_.attach(kernel_name_, layout, source_, std::move(done));
  }));
  objects_.push_back(object->id());
  return {};
}

Result<void> MountOperation::compare_canary(const Message& answer) {
  if (image_.canary_path.empty()) return {};
  size_t size = std::min<size_t>(answer.text_size, kCanaryBytes);
  // The kernel may have had it and asked nobody.
  TRY(daemon_.ask<Result<void>>([&](std::function<void(Result<void>)> done) {
    daemon_.object(objects_[image_.canary_blob])->make_present(image_.canary_chunk, std::move(done));
  }));
  auto expected = daemon_.on_loop<Result<Buffer>>([&]() -> Result<Buffer> {
    BlobObject* object = daemon_.object(objects_[image_.canary_blob]);
    Buffer bytes(size);
    TRY(object->read_chunk(image_.canary_chunk, bytes));
    return bytes;
  });
  if (!expected) return std::move(expected).error();
  if (size > 0 && std::memcmp(expected->data(), answer.text, size) == 0) return {};
  return make_error(Code::internal, fmt::format("{}: canary read of /{} gave other bytes than the image has",
                                                mountpoint_, printable(image_.canary_path)));
}

Result<Message> MountOperation::mount_message() {
  Message message;
  message.op = Op::mount;
  message.id = kernel_name_.id;
  message.attributes = attributes_;
  if (objects_.size() > keeper::kMaxFiles || !keeper::put_text(message.path, mountpoint_) ||
      !keeper::put_text(message.canary, image_.canary_path))
    return make_error(Code::too_large, mountpoint_ + ": path too long or too many blobs");
  keeper::put_text(message.fsid, kernel_name_.fsid);
  keeper::put_text(message.domain, kernel_name_.domain);
  daemon_.backend().describe_mount(objects_, message);
  return message;
}

Result<void> MountOperation::mount() {
  TRY_ASSIGN(Message message, mount_message());
  daemon_.on_loop<bool>([&] {
    daemon_.images()[kernel_name_.id] = {mountpoint_,  name_,    source_settings_.where,
                                         kernel_name_, objects_, image_.inodes,
                                         image_.bytes, false,    false};
    done_ = true;  // from here on image_gone() takes it back
    return true;
  });
  fault_point(63);
  auto mounted = call(message);
  fault_point(64);
  auto proved = mounted ? compare_canary(mounted->message) : Result<void>(Error(mounted.error()));
  if (mounted && !proved) {
    Message undo;
    undo.op = mountpoint_.empty() ? Op::forget : Op::unmount;
    undo.id = kernel_name_.id;
    [[maybe_unused]] auto undone = call(undo);
  }
  daemon_.on_loop<bool>([&] {
    if (proved)
      daemon_.image_shown(kernel_name_.id);
    else if (!mounted || mountpoint_.empty())
      daemon_.image_gone(kernel_name_.id);
    return true;
  });
  fault_point(65);
  return proved;
}

Result<json> MountOperation::run() {
  TRY(check());
  if (!source_settings_.where.empty()) {
    TRY_ASSIGN(source_, daemon_.on_loop<Result<std::shared_ptr<Storage>>>(
                            [&] { return daemon_.storage(source_settings_); }));
  }
  fault_point(60);
  TRY(keep_image());
  fault_point(61);
  TRY(offer());
  fault_point(62);
  for (size_t i = 0; i < image_.blobs.size(); i++) {
    if (image_.blobs[i].needs_chunk_table) TRY(fetch_chunk_table(i));
    TRY(attach(i));
  }
  TRY(mount());
  if (mountpoint_.empty()) return added();
  log_line(LogLevel::info, "daemon", fmt::format("mounted {} at {}", name_, mountpoint_));
  return json{{"mountpoint", mountpoint_}, {"id", kernel_name_.id}};
}

json MountOperation::added() {
  std::vector<std::string> blobs;
  for (const BlobUse& use : image_.blobs) blobs.push_back(use.blob.id);
  log_line(LogLevel::info, "daemon", fmt::format("added {}", name_));
  return {{"id", kernel_name_.id},
          {"backend", daemon_.backend().name()},
          {"mount", daemon_.backend().mount_line(kernel_name_, blobs)}};
}

}  // namespace

Result<json> mount_image(Daemon& daemon, const json& request, os::UniqueFd bootstrap) {
  if (text_field(request, "mountpoint").empty())
    return make_error(Code::invalid_argument, "mount: a mountpoint is needed");
  return MountOperation(daemon, request, std::move(bootstrap)).run();
}

Result<json> add_image(Daemon& daemon, const json& request, os::UniqueFd bootstrap) {
  return MountOperation(daemon, request, std::move(bootstrap)).run();
}

}  // namespace fscached
