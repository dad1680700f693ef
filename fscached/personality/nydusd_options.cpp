#include "fscached/personality/nydusd_options.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <cstring>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/os.h"
#include "fscached/control/absolute_path.h"
#include "fscached/personality/launcher.h"
#include "fscached/version.h"

namespace fscached {

namespace {

// In the order of the tables below: what both modes have, then each mode's own.
constexpr Option kApiSocket = {"apisock", 'A', "PATH", "socket of the HTTP API"};
constexpr Option kConfig = {"config", 'C', "FILE", "the image's settings, JSON"};
constexpr Option kId = {"id", 0, "ID", "what the API calls this daemon"};
constexpr Option kLogLevel = {"log-level", 'l', "LEVEL", "trace, debug, info, warn or error (info)"};
constexpr Option kLogFile = {"log-file", 'L', "FILE", "messages go there instead of to stderr"};
constexpr Option kLogRotation = {"log-rotation-size", 0, "MB", "accepted: the file grows by a line an event"};
constexpr Option kDescriptors = {"rlimit-nofile", 0, "N", "accepted: as many as the hard limit allows"};
constexpr Option kSupervisor = {"supervisor", 0, "PATH", "socket of who keeps our state for a successor"};
constexpr Option kUpgrade = {"upgrade", 0, "", "take over from the daemon that runs"};

constexpr Option kMountpoint = {"mountpoint", 'M', "DIR", "where the image, or the images below it, appear"};
constexpr Option kBootstrap = {"bootstrap", 'B', "FILE",
                               "the image to mount at DIR; none: the API says which"};
constexpr Option kLocalfs = {"localfs-dir", 'D', "DIR", "blobs are files there, whatever the settings say"};
constexpr Option kThreads = {"fuse-threads", 0, "N", "accepted: no thread waits for a read", "thread-num"};
constexpr Option kFailover = {"failover-policy", 0, "NAME", "accepted: readers wait for a successor"};
constexpr Option kPrefetch = {"prefetch-files", 0, "FILE", "accepted"};
constexpr Option kWritable = {"writable", 0, "", "refused: EROFS is read only"};
constexpr Option kShared = {"shared-dir", 's', "DIR", "refused: passthrough of a directory needs FUSE"};
constexpr Option kVirtual = {"virtual-mountpoint", 'm', "DIR", "below the mountpoint (/)"};
constexpr Option kFscache = {"fscache", 'F', "DIR", "folder of the cache"};
constexpr Option kTag = {"fscache-tag", 0, "TAG", "accepted"};
constexpr Option kFscacheThreads = {"fscache-threads", 0, "N", "accepted: no thread waits for a read"};

constexpr Option kFuseOptions[] = {kApiSocket,   kConfig,      kId,         kLogLevel, kLogFile,
                                   kLogRotation, kDescriptors, kSupervisor, kUpgrade,  kMountpoint,
                                   kBootstrap,   kLocalfs,     kThreads,    kFailover, kPrefetch,
                                   kWritable,    kShared,      kVirtual};
constexpr Option kSingletonOptions[] = {kApiSocket, kConfig,      kId,          kLogLevel,
                                        kLogFile,   kLogRotation, kDescriptors, kSupervisor,
                                        kUpgrade,   kFscache,     kTag,         kFscacheThreads};
constexpr Option kAllOptions[] = {
    kApiSocket,  kConfig,   kId,         kLogLevel,  kLogFile, kLogRotation, kDescriptors,
    kSupervisor, kUpgrade,  kMountpoint, kBootstrap, kLocalfs, kThreads,     kFailover,
    kPrefetch,   kWritable, kShared,     kVirtual,   kFscache, kTag,         kFscacheThreads};

constexpr std::string_view kRefused[] = {"writable", "shared-dir"};
constexpr std::string_view kOnlyFuse[] = {"mountpoint", "bootstrap", "localfs-dir", "virtual-mountpoint"};
constexpr std::string_view kOnlySingleton[] = {"fscache"};

Result<void> take_path(const Arguments& arguments, std::string_view option, std::string& into) {
  auto given = arguments.value(option);
  if (!given) return {};
  TRY_ASSIGN(into, absolute_path(*given));
  return {};
}

Result<std::string> log_level_of(const std::string& level) {
  if (level == "trace") return std::string("debug");
  for (const char* known : {"debug", "info", "warn", "error"})
    if (level == known) return level;
  return usage_error("--log-level: '" + printable(level) + "' is not one of trace, debug, info, warn, error");
}

Result<void> read_fuse(const Arguments& arguments, NydusdOptions& options) {
  TRY(refuse_options(arguments, kOnlySingleton, "fuse: of the singleton daemon only"));
  TRY(refuse_options(arguments, kRefused, "images are mounted with EROFS, without FUSE, read only"));
  TRY(take_path(arguments, "mountpoint", options.mountpoint));
  TRY(take_path(arguments, "bootstrap", options.bootstrap));
  TRY(take_path(arguments, "localfs-dir", options.localfs_folder));
  if (options.mountpoint.empty()) return usage_error("fuse: --mountpoint is needed");
  std::string below = arguments.value_or("virtual-mountpoint", "/");
  if (below != "/") options.mountpoint += (below.starts_with('/') ? "" : "/") + below;
  if (options.bootstrap.empty()) return {};
  if (options.config.empty() && options.localfs_folder.empty())
    return usage_error("fuse: --bootstrap needs --config or --localfs-dir: where are the blobs?");
  options.mode = NydusdOptions::Mode::dedicated;
  return {};
}

Result<void> read_singleton(const Arguments& arguments, NydusdOptions& options) {
  TRY(refuse_options(arguments, kOnlyFuse, "singleton: of the FUSE daemon only"));
  TRY(take_path(arguments, "fscache", options.fscache_folder));
  if (options.fscache_folder.empty()) return usage_error("singleton: --fscache DIR is needed");
  if (options.api_socket.empty())
    return usage_error("singleton: --apisock is needed: images are added through it");
  options.mode = NydusdOptions::Mode::singleton;
  return {};
}

Result<NydusdOptions> read_options(const Arguments& arguments, std::string_view mode) {
  NydusdOptions options;
  TRY(take_path(arguments, "apisock", options.api_socket));
  TRY(take_path(arguments, "supervisor", options.supervisor));
  TRY(take_path(arguments, "config", options.config));
  TRY(take_path(arguments, "log-file", options.log_file));
  TRY_ASSIGN(options.log_level, log_level_of(arguments.value_or("log-level", "info")));
  options.id = arguments.value_or("id", "");
  options.upgrade = arguments.has("upgrade");
  if (!options.supervisor.empty() && options.id.empty()) return usage_error("--supervisor needs --id");
  TRY(mode == "singleton" ? read_singleton(arguments, options) : read_fuse(arguments, options));
  return options;
}

Result<void> check_mode(std::string_view mode) {
  if (mode == "fuse" || mode == "singleton") return {};
  if (mode == "virtiofs")
    return make_error(Code::unsupported,
                      "virtiofs: not offered: a virtual machine gets the image as a disk "
                      "(mkfs.nydus-erofs export --block)");
  return usage_error("'" + printable(mode) + "' is no mode of nydusd; see --help");
}

Result<void> run_parsed(Result<NydusdOptions> options) {
  if (!options) return std::move(options).error();
  return run_launcher(std::move(*options));
}

Result<void> run_fuse(const Arguments& arguments) { return run_parsed(read_options(arguments, "fuse")); }
Result<void> run_singleton(const Arguments& arguments) {
  return run_parsed(read_options(arguments, "singleton"));
}

struct NoteSearch {
  std::string id;
};

void read_notes(const uint8_t* at, size_t size, NoteSearch& search) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof(note));
    size_t name = (note.n_namesz + 3u) & ~3u, description = (note.n_descsz + 3u) & ~3u;
    if (size < sizeof(note) + name + description) return;
    if (note.n_type == NT_GNU_BUILD_ID) search.id = to_hex({at + sizeof(note) + name, note.n_descsz});
    at += sizeof(note) + name + description;
    size -= sizeof(note) + name + description;
  }
}

// The first object is the program itself.
int visit_program(dl_phdr_info* info, size_t, void* found) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type == PT_NOTE)
      read_notes(reinterpret_cast<const uint8_t*>(info->dlpi_addr + segment.p_vaddr), segment.p_memsz,
                 *static_cast<NoteSearch*>(found));
  }
  return 1;
}

}  // namespace

std::string build_id() {
  NoteSearch search;
  dl_iterate_phdr(visit_program, &search);
  return search.id.empty() ? "unknown" : search.id;
}

std::string nydusd_version() {
  return fmt::format(
      "Version: \t{}\nGit Commit: \t{}\nBuild Time: \tunknown\nProfile: \trelease\nRustc: \t\tnone, fscached "
      "is C++\n",
      kVersion, build_id());
}

std::vector<std::string> words_of(const NydusdOptions& options) {
  bool singleton = options.mode == NydusdOptions::Mode::singleton;
  std::vector<std::string> words = {singleton ? "singleton" : "fuse"};
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  add("--mountpoint", options.mountpoint);
  add("--fscache", options.fscache_folder);
  add("--apisock", options.api_socket);
  add("--supervisor", options.supervisor);
  add("--config", options.config);
  add("--bootstrap", options.bootstrap);
  add("--localfs-dir", options.localfs_folder);
  add("--log-file", options.log_file);
  add("--id", options.id);
  add("--log-level", options.log_level);
  if (options.upgrade) words.push_back("--upgrade");
  return words;
}

std::string nydusd_help() {
  return help_text("nydusd", kFuseCommand) + "\n" + help_text("nydusd", kSingletonCommand);
}

Result<NydusdOptions> parse_nydusd(const std::vector<std::string>& words) {
  TRY_ASSIGN(Arguments arguments, parse_arguments(kAllOptions, words));
  std::string mode = "fuse";
  if (!arguments.positional().empty()) mode = arguments.positional()[0];
  TRY(check_mode(mode));
  if (arguments.positional().size() > 1)
    return usage_error("'" + printable(arguments.positional()[1]) + "': no operand is taken");
  return read_options(arguments, mode);
}

const Command kFuseCommand = {"fuse", "[OPTIONS] --mountpoint DIR",
                              "Be nydusd for a snapshotter: mount images where its FUSE would show them.",
                              kFuseOptions, run_fuse};
const Command kSingletonCommand = {"singleton", "[OPTIONS] --fscache DIR --apisock PATH",
                                   "Be nydusd for a snapshotter that mounts images itself, by cachefiles.",
                                   kSingletonOptions, run_singleton};

}  // namespace fscached
