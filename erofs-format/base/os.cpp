#include "erofs-format/base/os.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>

namespace erofs_format::os {

namespace {

// Temporaries a signal handler may unlink: fixed slots, as a handler can
// neither lock nor allocate.
constexpr char kTemporaryPrefix[] = ".tmp-";
constexpr size_t kMaxTemporaries = 256;
constexpr size_t kMaxPath = 4096;
struct TemporarySlot {
  std::atomic<bool> used{false};
  char path[kMaxPath];
};
std::array<TemporarySlot, kMaxTemporaries> temporaries;
std::mutex temporaries_mutex;

void remember_temporary(const std::string& path) {
  if (path.size() >= kMaxPath) return;
  std::lock_guard lock(temporaries_mutex);
  for (auto& slot : temporaries) {
    if (slot.used.load()) continue;
    std::memcpy(slot.path, path.c_str(), path.size() + 1);
    slot.used.store(true);
    return;
  }
}

void forget_temporary(const std::string& path) {
  std::lock_guard lock(temporaries_mutex);
  for (auto& slot : temporaries)
    if (slot.used.load() && path == slot.path) slot.used.store(false);
}

// From here on no temporary is begun.
std::atomic<bool> dying{false};

void unlink_temporaries() {
  for (auto& slot : temporaries)
    if (slot.used.load()) ::unlink(slot.path);
}

void on_fatal_signal(int signal_number) {
  dying.store(true);
  unlink_temporaries();
  // Another thread may have been about to create the file whose name it had put down: look once more.
  const timespec moment = {0, 5'000'000};
  ::nanosleep(&moment, nullptr);
  unlink_temporaries();
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

std::string random_suffix() {
  uint64_t number = 0;
  while (::getrandom(&number, sizeof(number), 0) < 0 && errno == EINTR) continue;
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(number));
  return text;
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::openat(directory, name.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno_error(name);
  return UniqueFd(fd);
}

Result<struct stat> stat_of(int fd, const std::string& name) {
  struct stat st;
  if (::fstat(fd, &st) < 0) return errno_error(name);
  return st;
}

Result<size_t> read_some(int fd, MutableBytes into, const std::string& name) {
  for (;;) {
    ssize_t n = ::read(fd, into.data(), into.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return errno_error(name);
  }
}

Result<void> pread_exact(int fd, uint64_t offset, MutableBytes into, const std::string& name) {
  while (!into.empty()) {
    ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(name);
    }
    if (n == 0) {
      return make_error(Code::corrupt, name + ": ends at byte " + std::to_string(offset) + ", " +
                                           std::to_string(into.size()) + " bytes are missing");
    }
    into = into.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> write_all(int fd, ByteView bytes, const std::string& name) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(name);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> pwrite_all(int fd, uint64_t offset, ByteView bytes, const std::string& name) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(name);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

void begin_writeback(int fd, uint64_t offset, uint64_t size) {
  ::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
}

void discard(MutableBytes bytes) {
  auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto start = reinterpret_cast<uintptr_t>(bytes.data());
  uintptr_t first = (start + page - 1) / page * page;
  uintptr_t last = (start + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

Result<Buffer> read_file(int fd, const std::string& name, uint64_t limit) {
  TRY_ASSIGN(struct stat st, stat_of(fd, name));
  Buffer bytes;
  if (S_ISREG(st.st_mode) && static_cast<uint64_t>(st.st_size) <= limit)
    bytes.reserve(static_cast<size_t>(st.st_size) + 1);
  constexpr size_t kStep = 1 << 16;
  for (;;) {
    size_t old = bytes.size();
    bytes.resize(std::max(bytes.capacity(), old + kStep));
    TRY_ASSIGN(size_t n, read_some(fd, MutableBytes(bytes).subspan(old), name));
    bytes.resize(old + n);
    if (bytes.size() > limit)
      return make_error(Code::too_large, name + ": larger than " + std::to_string(limit) + " bytes");
    if (n == 0) return bytes;
  }
}

Result<Buffer> read_file(const std::string& path, uint64_t limit) {
  TRY_ASSIGN(UniqueFd fd, open(path, O_RDONLY));
  return read_file(fd.get(), path, limit);
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST) return errno_error(path);
  return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    TRY(make_directory(path.substr(0, slash), mode));
  return make_directory(path, mode);
}

std::string parent_directory(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_name(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Result<PendingFile> PendingFile::create(const std::string& directory, mode_t mode) {
  PendingFile file;
  file.directory_ = directory;
  file.temporary_ = directory + "/" + kTemporaryPrefix + random_suffix();
  // The name is put down before the file is there, so that a signal at any moment finds it.
  remember_temporary(file.temporary_);
  if (dying.load()) return make_error(Code::cancelled, directory + ": ended by a signal");
  auto fd = open(file.temporary_, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!fd) return errno_error(directory, fd.error().sys_errno);
  file.fd_ = std::move(*fd);
  // Exact whatever the umask.
  if (::fchmod(file.fd_.get(), mode) < 0) return errno_error(file.temporary_);
  return file;
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)) {}

PendingFile& PendingFile::operator=(PendingFile&& other) noexcept {
  if (this != &other) {
    discard();
    directory_ = std::move(other.directory_);
    temporary_ = std::exchange(other.temporary_, {});
    fd_ = std::move(other.fd_);
  }
  return *this;
}

PendingFile::~PendingFile() { discard(); }

void PendingFile::discard() {
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  forget_temporary(temporary_);
  temporary_.clear();
}

Result<void> PendingFile::publish(const std::string& name) {
  std::string path = directory_ + "/" + name;
  if (::fsync(fd_.get()) < 0) return errno_error(path);
  if (::rename(temporary_.c_str(), path.c_str()) < 0) return errno_error(path);
  forget_temporary(temporary_);
  temporary_.clear();
  TRY_ASSIGN(UniqueFd directory, open(directory_, O_RDONLY | O_DIRECTORY));
  if (::fsync(directory.get()) < 0) return errno_error(directory_);
  return {};
}

Result<void> publish_file(const std::string& path, ByteView bytes, mode_t mode) {
  TRY_ASSIGN(PendingFile file, PendingFile::create(parent_directory(path), mode));
  TRY(write_all(file.fd(), bytes, path));
  return file.publish(base_name(path));
}

void remove_abandoned(const std::string& directory) {
  std::vector<std::string> abandoned;
  std::error_code failed;  // the directory may not be there yet
  using Walk = std::filesystem::recursive_directory_iterator;
  for (Walk at(directory, failed); !failed && at != Walk(); at.increment(failed))
    if (at->path().filename().string().starts_with(kTemporaryPrefix)) abandoned.push_back(at->path());
  for (const std::string& path : abandoned) ::unlink(path.c_str());
}

void remove_temporaries_on_signals() {
  struct sigaction action = {};
  action.sa_handler = on_fatal_signal;
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal_number, &action, nullptr);
}

}  // namespace erofs_format::os
