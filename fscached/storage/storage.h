// Where a blob's stored bytes come from. Knows nothing of chunks, digests or EROFS.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "erofs-format/registry/credentials.h"
#include "erofs-format/registry/http_options.h"
#include "fscached/loop.h"

namespace fscached {

class Storage {
 public:
  // Runs exactly once, on the loop thread, never inside read() itself.
  using Done = std::function<void(Result<void>)>;
  using FetchId = uint64_t;

  // Reads still under way are dropped: their `done` does not run.
  virtual ~Storage() = default;
  // Fills `into` with exactly into.size() bytes at `offset` of blob `blob_id` (64 hex digits), or fails
  // with a message that names URL or file, blob and range. `into` must live until `done` ran.
  virtual FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) = 0;
  // `done` still runs, with Code::cancelled.
  virtual void cancel(FetchId id) = 0;
  // The blob's size in bytes.
  virtual void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) = 0;
  // For messages and `list`: "http://host/path/".
  virtual std::string describe() const = 0;
};

using StorageCounters = registry::TransferCounters;

// Opens FOLDER/BLOB for reading where this process may not. Runs `done` later, once.
using OpenElsewhere = std::function<void(const std::string& folder, const std::string& blob_id,
                                         std::function<void(Result<os::UniqueFd>)> done)>;

// What a registry's repository is asked with. May take as long as reading a file.
using FindCredential =
    std::function<Result<registry::Credential>(const std::string& host, const std::string& repository)>;

struct StorageOptions : registry::HttpOptions {
  StorageOptions() { user_agent = "fscached"; }
  bool plain_http = false;       // docker:// without TLS also to hosts that are not loopback
  std::string hosts_folder;      // HOST/hosts.toml: mirrors and terms of registries; empty = none
  FindCredential credential;     // none = registries see nobody
  OpenElsewhere open_elsewhere;  // of folders; none = what is closed to us stays closed
};

// WHERE of `fscached mount --blobs WHERE`: a directory, http(s)://…/ or docker://HOST/NAME.
// Counters are updated on the loop thread. Opens nothing yet.
Result<std::unique_ptr<Storage>> open_storage(Loop& loop, const std::string& where, StorageCounters& counters,
                                              const StorageOptions& options = {});

}  // namespace fscached
