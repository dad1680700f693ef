// What the bootstrap of one layer says in xattrs for the merge, which takes them away. So layers are built,
// stored and merged later without those below them.
#pragma once

namespace mkfs {

// A hard link whose target only a layer below has is an empty file with this xattr; its value is the target's
// path, relative and cleaned.
inline constexpr char kLinkBelow[] = "trusted.nydus-erofs.link-below";

// A directory that no entry of the layer spoke of: its attributes are those of the layers below.
inline constexpr char kImplied[] = "trusted.nydus-erofs.implied";

}  // namespace mkfs
