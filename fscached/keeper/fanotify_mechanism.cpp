// fanotify: the group, the journal of its events, the marked cache files. The bootstrap is mounted from a
// file.
#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>

#include "fscached/keeper/data_files.h"
#include "fscached/keeper/journal_memory.h"
#include "fscached/keeper/leftovers.h"
#include "fscached/keeper/mechanism.h"
#include "fscached/keeper/probe.h"

namespace fscached::keeper {

namespace {

// EROFS has the bootstrap open for as long as the superblock lives.
class FileHold final : public Hold {
 public:
  FileHold(std::string path, os::UniqueFd bootstrap, std::vector<uint32_t> files, DataFiles& all)
      : path_(std::move(path)), bootstrap_(std::move(bootstrap)), files_(std::move(files)), all_(all) {
    for (uint32_t file : files_) all_.find(file)->mounts++;
  }
  ~FileHold() override {
    for (uint32_t file : files_) all_.find(file)->mounts--;
  }
  bool superblock_lives() override { return held_by_others(bootstrap_.get()); }
  bool is_shown_by(const MountedErofs& mount) const override { return mount.source == path_; }
  int descriptor() const override { return bootstrap_.get(); }

 private:
  std::string path_;
  os::UniqueFd bootstrap_;
  std::vector<uint32_t> files_;
  DataFiles& all_;
};

class FanotifyMechanism final : public Mechanism {
 public:
  FanotifyMechanism(std::string root, os::UniqueFd group, os::UniqueFd journal, KeeperState& state)
      : root_(std::move(root)),
        group_(std::move(group)),
        journal_(std::move(journal)),
        files_(group_.get(), state) {}
  const char* name() const override { return "fanotify"; }
  int kernel_descriptor() const override { return group_.get(); }
  int journal_descriptor() const override { return journal_.get(); }
  Result<void> introduce(int socket) override;
  void worker_ended() override;
  Result<MountPlan> plan(const Message& message) override;
  Result<std::unique_ptr<Hold>> hold_again(const MountRecord& mount, os::UniqueFd kept) override;
  Result<void> restore_files(KeeperState& state);
  Result<Message> attach(const Message& message, int* descriptor) override;
  Result<void> set_mark(const Message& message) override;
  void let_go(uint32_t file) override;
  std::vector<uint32_t> release_unused() override;

 private:
  std::string bootstrap_path(uint32_t mount) const {
    return fmt::format("{}/mounts/{}/image.boot", root_, mount);
  }
  std::string root_;
  os::UniqueFd group_;
  os::UniqueFd journal_;
  DataFiles files_;
};

Message describe(uint32_t id, const DataFile& file) {
  Message message;
  message.id = id;
  message.size = file.size;
  message.device = file.device;
  message.inode = file.inode;
  file.blob.copy(message.blob, kBlobIdLength);
  return message;
}

Result<void> FanotifyMechanism::introduce(int socket) {
  for (auto& [id, file] : files_.all()) {
    Message message = describe(id, file);
    message.op = Op::restored_file;
    message.flags = file.marked ? uint32_t{kMarked} : 0;
    TRY(send_message(socket, message, file.fd.get()));
  }
  return {};
}

void FanotifyMechanism::worker_ended() {
  for (auto& [id, file] : files_.all()) file.attached = 0;
}

Result<Message> FanotifyMechanism::attach(const Message& message, int* descriptor) {
  TRY_ASSIGN(uint32_t id, files_.attach(std::string_view(message.blob, kBlobIdLength), message.size));
  DataFile& file = *files_.find(id);
  Message answer = describe(id, file);
  answer.flags = file.created ? uint32_t{kCreated} : 0;
  file.created = false;
  *descriptor = file.fd.get();
  return answer;
}

Result<void> FanotifyMechanism::set_mark(const Message& message) {
  return files_.set_mark(message.id, message.flags & kMarked);
}

Result<MountPlan> FanotifyMechanism::plan(const Message& message) {
  std::string path = bootstrap_path(message.id);
  TRY_ASSIGN(os::UniqueFd bootstrap, os::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  MountPlan plan;
  plan.parameters.emplace_back("source", path);
  std::vector<uint32_t> files;
  for (uint32_t i = 0; i < message.file_count; i++) {
    DataFile* file = files_.find(message.files[i]);
    if (!file) return make_error(Code::not_found, fmt::format("data file {}: unknown", message.files[i]));
    plan.parameters.emplace_back("device", file->path);
    files.push_back(message.files[i]);
  }
  plan.hold = std::make_unique<FileHold>(path, std::move(bootstrap), std::move(files), files_);
  return plan;
}

Result<std::unique_ptr<Hold>> FanotifyMechanism::hold_again(const MountRecord& mount, os::UniqueFd kept) {
  std::string path = bootstrap_path(mount.id);
  TRY_ASSIGN(struct stat status, os::stat_of(kept.get(), path));
  if (!S_ISREG(status.st_mode) || mount.file_count > kMaxFiles)
    return make_error(Code::corrupt, path + ": what was kept of it is no file");
  std::vector<uint32_t> files(mount.files, mount.files + mount.file_count);
  for (uint32_t file : files)
    if (!files_.find(file))
      return make_error(Code::corrupt, fmt::format("{}: data file {}: unknown", path, file));
  return std::unique_ptr<Hold>(std::make_unique<FileHold>(path, std::move(kept), std::move(files), files_));
}

Result<void> FanotifyMechanism::restore_files(KeeperState& state) {
  TRY_ASSIGN(auto records, state.files());
  for (const FileRecord& record : records) TRY(files_.restore(record, state.take_file(record.id)));
  return {};
}

void FanotifyMechanism::let_go(uint32_t id) {
  DataFile* file = files_.find(id);
  if (file && file->attached > 0) file->attached--;
}

std::vector<uint32_t> FanotifyMechanism::release_unused() {
  std::vector<uint32_t> unused, released;
  for (auto& [id, file] : files_.all())
    if (file.attached == 0 && file.mounts == 0) unused.push_back(id);
  for (uint32_t id : unused)
    if (files_.release_if_unused(id)) released.push_back(id);
  return released;
}

Result<void> check_group(int group) {
  std::error_code missing;
  auto kind = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", group), missing);
  if (!missing && kind == "anon_inode:[fanotify]") return {};
  return make_error(Code::corrupt, "descriptor store: 'kernel' is no fanotify group");
}

}  // namespace

Result<std::unique_ptr<Mechanism>> take_over_fanotify(const std::string& root, KeeperState& state) {
  os::UniqueFd group = state.store().take(kKernelName), journal = state.store().take(kJournalName);
  TRY(check_group(group.get()));
  TRY(check_journal_memory(journal.get()));
  auto mechanism = std::make_unique<FanotifyMechanism>(root, std::move(group), std::move(journal), state);
  TRY(mechanism->restore_files(state));
  return std::unique_ptr<Mechanism>(std::move(mechanism));
}

Result<std::unique_ptr<Mechanism>> open_fanotify(const std::string& root, const WorkerUser& user,
                                                 KeeperState& state) {
  auto is_ours = [&root](const MountedErofs& mount) { return mount.source.starts_with(root + "/"); };
  TRY(detach_leftovers(is_ours, "may have seen zeros"));
  TRY(probe_pre_content_mark(root));
  TRY(probe_erofs_from_file(root));
  TRY(give_folder("blobs", user));
  TRY_ASSIGN(os::UniqueFd group, open_fanotify_group());
  TRY_ASSIGN(os::UniqueFd journal, create_journal_memory());
  state.store().keep(kKernelName, group.get());
  state.store().keep(kJournalName, journal.get());
  return std::unique_ptr<Mechanism>(
      std::make_unique<FanotifyMechanism>(root, std::move(group), std::move(journal), state));
}

}  // namespace fscached::keeper
