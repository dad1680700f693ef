// Pass two of writing a bootstrap: the bytes, each compared with the layout.
#pragma once

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/layout.h"

namespace erofs_format {

// The bootstrap of `tree`. A byte that would not land where `layout` says is Code::internal.
Result<Buffer> write_bootstrap(const Tree& tree, const Layout& layout);

// Both passes, then the reader over the result.
Result<Buffer> build_bootstrap(const Tree& tree);

}  // namespace erofs_format
