// What the snapshotter says about one image: nydusd's settings, in the three forms there are. Unknown keys
// are ignored, as the snapshotter writes some nydusd itself does not know.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/registry/credentials.h"

namespace fscached {

using namespace erofs_format;

struct ImageConfig {
  std::string backend;  // "registry", "localfs", "http-proxy"
  std::string where;    // as `fscached mount --blobs` takes it
  bool plain_http = false;
  registry::Credential credential;
  std::string work_dir;       // folder of the cache
  std::string id, domain;     // of `singleton`: the names the kernel knows image and domain by
  std::string metadata_path;  // and its bootstrap
  bool prefetch = false;      // everything, in the background
};

// Forms: {"device": {"backend", "cache"}, …} of the FUSE daemon, {"type": "bootstrap", "config": {…}} of
// the singleton daemon, and version 2, {"backend", "cache"}, also below "config_v2". Errors name the key
// that is missing or cannot be honoured.
Result<ImageConfig> parse_image_config(ByteView text);

}  // namespace fscached
