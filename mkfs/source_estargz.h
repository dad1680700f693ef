// An eStargz layer is a tar with files that speak of the layer, not of the image.
#pragma once

#include <memory>

#include "mkfs/source.h"

namespace mkfs {

// The entries of `tar` without the table of contents and the landmarks of eStargz in the root.
std::unique_ptr<Source> make_estargz_source(std::unique_ptr<Source> tar);

}  // namespace mkfs
