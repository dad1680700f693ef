// A hard link of a layer whose target only a layer below has.
#pragma once

namespace mkfs {

// Until the layers are merged such a name is an empty file with this xattr, whose value is the target's path,
// relative and cleaned. So a layer can be built, stored and merged later without those below it.
inline constexpr char kLinkBelow[] = "trusted.nydus-erofs.link-below";

}  // namespace mkfs
