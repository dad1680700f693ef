// `mount`, `add`, `umount`, and the helper of mount(8).
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "erofs-format/registry/credential_files.h"
#include "fscached/control/client.h"
#include "fscached/control/commands.h"
#include "fscached/control/fetch_options.h"
#include "fscached/storage/named_image.h"

namespace fscached {

namespace {

constexpr Option kBootstrapOption = {"bootstrap", 0, "FILE",
                                     "bootstrap of the image, or a blob that has it inside"};
constexpr Option kBlobsOption = {
    "blobs", 0, "WHERE",
    "a directory, http(s)://.../ or docker://HOST/NAME; none: FILE is a plain EROFS image"};

constexpr Option kConfigOption = {"config", 0, "FILE",
                                  "settings of [fetch] for the image's manifest (the daemon's own file)"};

constexpr Option kMountOptions[] = {
    kBootstrapOption, kBlobsOption, {"options", 'o', "OPTIONS", "ro,nodev,nosuid,noexec,noatime"},
    kSocketOption,    kRootOption,  kConfigOption,
    kJsonOption,      kQuietOption,
};

constexpr Option kAddOptions[] = {
    kBootstrapOption,
    kBlobsOption,
    {"fsid", 0, "ID", "the name the kernel knows it by (its digest)"},
    {"domain-id", 0, "ID", "images of one domain share blobs (fscached); empty: none do"},
    kSocketOption,
    kRootOption,
    kConfigOption,
    kJsonOption,
    kQuietOption,
};

constexpr Option kHelperOptions[] = {
    {"options", 'o', "OPTIONS", "bootstrap=FILE,blobs=WHERE,socket=PATH and mount options"},
    {"sloppy", 's', "", "accepted, as mount(8) passes it"},
    {"fake", 'f', "", "do everything but mount"},
    {"no-mtab", 'n', "", "accepted, as mount(8) passes it"},
    {"verbose", 'v', "", "accepted, as mount(8) passes it"},
};

// A folder becomes absolute; URLs stay.
Result<std::string> where_of(const std::string& where) {
  if (where.find("://") != where.npos) return where;
  return real_path(where);
}

// An image by its parts. Without blobs it is a plain one. The bootstrap goes along opened: the daemon's
// worker need not be allowed to.
Result<json> send_parts(const std::string& socket, json request, const std::string& bootstrap,
                        const std::string& blobs) {
  TRY_ASSIGN(os::UniqueFd opened, os::open(bootstrap, O_RDONLY));
  TRY_ASSIGN(request["bootstrap"], real_path(bootstrap));
  if (!blobs.empty()) {
    TRY_ASSIGN(request["blobs"], where_of(blobs));
  }
  return call(socket, request, {}, opened.get());
}

// An image by its name. The daemon keeps its own copy of the bootstrap, so that ours is gone afterwards.
Result<json> send_named(const std::string& socket, json request, const std::string& image,
                        const std::optional<std::string>& config_file) {
  TRY_ASSIGN(Config config, configuration(config_file));
  StorageOptions options = fetch_options(config);
  // As the one who calls; the daemon reads the blobs with what its own configuration names.
  options.credential = [](const std::string& host, const std::string& repository) {
    return registry::find_credential("", host, repository);
  };
  TRY_ASSIGN(NamedImage named, open_named_image(image, options));
  TRY_ASSIGN(os::PendingFile file, os::PendingFile::create("/tmp", 0600));
  TRY(os::write_all(file.fd(), named.bootstrap, file.temporary_path()));
  request["image"] = named.name;
  return send_parts(socket, std::move(request), file.temporary_path(), named.where);
}

Result<json> mount_request(const std::string& mountpoint, const std::string& options) {
  json request = {{"command", "mount"}, {"options", options}};
  TRY_ASSIGN(request["mountpoint"], real_path(mountpoint));
  return request;
}

// The image is named by the first of `operands` or by options; the rest is `others` words.
Result<json> send_image(const Arguments& arguments, const json& request, size_t others) {
  const auto& operands = arguments.positional();
  std::string socket = socket_of(arguments);
  if (operands.size() == others + 1 && !arguments.has("bootstrap") && !arguments.has("blobs"))
    return send_named(socket, request, operands[0], arguments.value("config"));
  if (operands.size() == others && arguments.has("bootstrap"))
    return send_parts(socket, request, *arguments.value("bootstrap"), arguments.value_or("blobs", ""));
  return usage_error(fmt::format("{0}: wanted are IMAGE{1} or --bootstrap FILE [--blobs WHERE]{1}",
                                 request["command"].get<std::string>(), others ? " MOUNTPOINT" : ""));
}

Result<void> run_mount(const Arguments& arguments) {
  const auto& operands = arguments.positional();
  if (operands.empty()) return usage_error("mount: wanted are IMAGE MOUNTPOINT; see --help");
  TRY_ASSIGN(json request, mount_request(operands.back(), arguments.value_or("options", "")));
  TRY_ASSIGN(json result, send_image(arguments, request, 1));
  return arguments.has("json") ? print_json(result) : Result<void>();
}

// mount(8) before util-linux 2.41 puts a loop device beneath a file; reads of those ask nobody.
bool mount_tries_files() {
  FILE* pipe = popen("mount --version 2>/dev/null", "r");
  if (!pipe) return false;
  unsigned major = 0, minor = 0;
  bool known = fscanf(pipe, "mount from util-linux %u.%u", &major, &minor) == 2;
  pclose(pipe);
  return known && (major > 2 || (major == 2 && minor >= 41));
}

Result<void> run_add(const Arguments& arguments) {
  json request = {{"command", "add"}};
  if (auto fsid = arguments.value("fsid")) request["fsid"] = *fsid;
  if (auto domain = arguments.value("domain-id")) request["domain"] = *domain;
  TRY_ASSIGN(json result, send_image(arguments, request, 0));
  if (arguments.has("json")) return print_json(result);
  if (result.value("backend", "") == "fanotify" && !mount_tries_files())
    fmt::print(stderr,
               "fscached: mount(8) of this host is older than util-linux 2.41 and would put a loop device "
               "beneath the "
               "image, through which nothing is fetched: use `mount -t nydus-erofs` or `fscached mount` "
               "instead of\n");
  return print(result.value("mount", "") + "\n");
}

// Takes "KEY=VALUE" words out of a comma list; the rest stays in order.
std::string take_option(std::string& list, const std::string& key) {
  std::string value, rest;
  for (size_t start = 0; start < list.size();) {
    size_t end = std::min(list.find(',', start), list.size());
    std::string word = list.substr(start, end - start);
    start = end + 1;
    if (word.starts_with(key + "="))
      value = word.substr(key.size() + 1);
    else
      rest += (rest.empty() ? "" : ",") + word;
  }
  list = rest;
  return value;
}

// mount(8) passes on what it took for itself, and "rw" when nothing was said.
std::string without_words_of_mount(const std::string& list) {
  std::string rest;
  for (size_t start = 0; start < list.size();) {
    size_t end = std::min(list.find(',', start), list.size());
    std::string word = list.substr(start, end - start);
    start = end + 1;
    if (word != "rw" && word != "_netdev" && word != "nofail") rest += (rest.empty() ? "" : ",") + word;
  }
  return rest;
}

Result<void> run_helper(const Arguments& arguments) {
  const auto& operands = arguments.positional();
  if (operands.size() != 2) return usage_error("wanted are IMAGE MOUNTPOINT [-o OPTIONS]");
  std::string options = without_words_of_mount(arguments.value_or("options", ""));
  std::string bootstrap = take_option(options, "bootstrap");
  std::string blobs = take_option(options, "blobs");
  std::string socket = take_option(options, "socket");
  if (socket.empty()) socket = kDefaultSocket;
  if (arguments.has("fake")) return {};
  TRY_ASSIGN(json request, mount_request(operands[1], options));
  auto mounted = bootstrap.empty() ? send_named(socket, request, operands[0], std::nullopt)
                                   : send_parts(socket, request, bootstrap, blobs);
  return mounted ? Result<void>() : Result<void>(std::move(mounted).error());
}

Result<void> run_umount(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("umount: wanted is one MOUNTPOINT");
  // The mountpoint itself may be gone or hang: only its folder is resolved.
  std::string path = arguments.positional()[0];
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  TRY_ASSIGN(std::string folder, real_path(os::parent_directory(path)));
  std::string name = os::base_name(path);
  std::string mountpoint = folder == "/" ? "/" + name : folder + "/" + name;
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", "umount"}, {"mountpoint", mountpoint}}));
  if (result.value("lingers", false))
    fmt::print(stderr,
               "fscached: {}: unmounted here, still in use elsewhere: its reads go on being answered\n",
               mountpoint);
  return arguments.has("json") ? print_json(result) : Result<void>();
}

}  // namespace

const Command kMountCommand = {"mount", "[OPTIONS] IMAGE MOUNTPOINT",
                               "Mount an image; returns when a read has proved the mount.", kMountOptions,
                               run_mount};
const Command kAddCommand = {"add", "[OPTIONS] IMAGE", "Prepare an image and print the line that mounts it.",
                             kAddOptions, run_add};
const Command kUmountCommand = {"umount", "[OPTIONS] MOUNTPOINT", "Unmount an image; what was fetched stays.",
                                kCommonOptions, run_umount};
const Command kMountHelper = {"", "IMAGE MOUNTPOINT [-o OPTIONS]", "Mount an image, called by mount(8).",
                              kHelperOptions, run_helper};

}  // namespace fscached
