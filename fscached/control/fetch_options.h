// How servers are spoken to, by the daemon and by the commands that read an image's manifest.
#pragma once

#include "fscached/control/config.h"
#include "fscached/storage/storage.h"

namespace fscached {

StorageOptions fetch_options(const Config& config);

}  // namespace fscached
