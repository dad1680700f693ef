#include "erofs-format/base/os.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "erofs-format/base/worker_pool.h"

using namespace erofs_format;

namespace {

class Folder {
 public:
  Folder() { REQUIRE(::mkdtemp(path_.data())); }
  ~Folder() {
    for (const auto& name : names()) ::unlink((path_ + "/" + name).c_str());
    ::rmdir(path_.c_str());
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    DIR* directory = ::opendir(path_.c_str());
    while (const dirent* entry = ::readdir(directory))
      if (entry->d_name != std::string(".") && entry->d_name != std::string(".."))
        found.push_back(entry->d_name);
    ::closedir(directory);
    std::sort(found.begin(), found.end());
    return found;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/os-test-XXXXXX";
};

}  // namespace

TEST_CASE("a pending file has no final name until it is published") {
  Folder folder;
  auto file = os::PendingFile::create(folder.path());
  REQUIRE(file);
  REQUIRE(os::write_all(file->fd(), as_bytes("text"), "x"));
  auto names = folder.names();
  CHECK(std::find(names.begin(), names.end(), "final") == names.end());
  REQUIRE(file->publish("final"));
  CHECK(folder.names() == std::vector<std::string>{"final"});
  CHECK(as_text(*os::read_file(folder.path() + "/final", 100)) == "text");
}

TEST_CASE("a pending file that is dropped leaves nothing, and the older file stays") {
  Folder folder;
  REQUIRE(os::publish_file(folder.path() + "/final", as_bytes("old")));
  {
    auto file = os::PendingFile::create(folder.path());
    REQUIRE(file);
    os::PendingFile moved = std::move(*file);
    REQUIRE(os::write_all(moved.fd(), as_bytes("new"), "x"));
  }
  CHECK(folder.names() == std::vector<std::string>{"final"});
  CHECK(as_text(*os::read_file(folder.path() + "/final", 100)) == "old");
}

TEST_CASE("what a killed process left pending is taken away, and nothing else") {
  Folder folder;
  REQUIRE(os::publish_file(folder.path() + "/final", as_bytes("text")));
  pid_t child = ::fork();
  if (child == 0) {
    auto file = os::PendingFile::create(folder.path());
    ::_exit(file ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  REQUIRE(folder.names().size() == 2);
  os::remove_abandoned(folder.path());
  CHECK(folder.names() == std::vector<std::string>{"final"});
  os::remove_abandoned(folder.path() + "/not-there");
}

TEST_CASE("a signal removes what is pending") {
  Folder folder;
  pid_t child = ::fork();
  if (child == 0) {
    os::remove_temporaries_on_signals();
    auto file = os::PendingFile::create(folder.path());
    ::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
  CHECK(folder.names().empty());
}

TEST_CASE("errors name the object") {
  auto missing = os::open("/nowhere/at/all", O_RDONLY);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::not_found);
  CHECK(missing.error().message.find("/nowhere/at/all") == 0);
}

TEST_CASE("a file is read whole, or refused") {
  Folder folder;
  Buffer bytes(200000, 7);
  REQUIRE(os::publish_file(folder.path() + "/f", bytes));
  CHECK(*os::read_file(folder.path() + "/f", bytes.size()) == bytes);
  auto large = os::read_file(folder.path() + "/f", bytes.size() - 1);
  REQUIRE_FALSE(large);
  CHECK(large.error().code == Code::too_large);
  auto fd = os::open(folder.path() + "/f", O_RDONLY);
  Buffer past(10);
  auto short_read = os::pread_exact(fd->get(), bytes.size() - 5, past, "f");
  REQUIRE_FALSE(short_read);
  CHECK(short_read.error().code == Code::corrupt);
}

TEST_CASE("paths are taken apart") {
  CHECK(os::parent_directory("a") == ".");
  CHECK(os::parent_directory("/a") == "/");
  CHECK(os::parent_directory("/a/b") == "/a");
  CHECK(os::base_name("/a/b") == "b");
  CHECK(os::base_name("b") == "b");
}

TEST_CASE("a pool runs every job before it ends, each worker one at a time") {
  std::atomic<int> done{0};
  std::atomic<int> busy[3] = {};
  std::atomic<bool> overlapped{false};
  {
    WorkerPool pool(3);
    for (int i = 0; i < 1000; i++)
      pool.submit([&](size_t worker) {
        if (busy[worker]++ != 0) overlapped = true;
        done++;
        busy[worker]--;
      });
  }
  CHECK(done == 1000);
  CHECK_FALSE(overlapped);
}
