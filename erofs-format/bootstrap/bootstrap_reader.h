// Bytes of a bootstrap -> a validated Tree. Nothing is published before the
// whole image was found sound (erofs.md 18, nydus-rafs-v6.md 1).
#pragma once

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// Larger bootstraps are refused (Code::too_large).
constexpr uint64_t kMaxBootstrapSize = uint64_t{2} << 30;

// Parses and validates. `name` stands in front of every message, which also names
// the byte offset and the field. Code::corrupt for a broken image, Code::unsupported
// ("... not supported yet: external blobs") for what we do not read. `notes`, if given, gets what is odd
// but harmless (reserved bytes that are not zero).
Result<Tree> read_bootstrap(ByteView image, const std::string& name,
                            std::vector<std::string>* notes = nullptr);

// The same checks without a tree, in a quarter of the memory.
Result<void> check_bootstrap(ByteView image, const std::string& name);

// read_bootstrap() of bytes that nobody needs afterwards: their chunk table is freed as soon as it was read.
Result<Tree> take_tree(Buffer image, const std::string& name);

// The chunk table alone of a bootstrap that was found sound; the memory of the rest is freed before.
Result<std::vector<Chunk>> take_chunks(Buffer image, const std::string& name);

// A bootstrap file, or a blob with an inlined bootstrap (`image.boot`, found from the end,
// decompressed): its bytes. The blob id of an inlined bootstrap comes from the file name.
// `descriptor`: of the file, where the caller may not open it by its path; -1 = opened here.
Result<Buffer> load_bootstrap(const std::string& path, int descriptor = -1);
// Both steps, with the id of an inlined blob filled in.
Result<Tree> open_bootstrap(const std::string& path, std::vector<std::string>* notes = nullptr,
                            int descriptor = -1);
// For who needs the bytes too.
struct OpenedBootstrap {
  Tree tree;
  Buffer bytes;
};
Result<OpenedBootstrap> open_with_bytes(const std::string& path, std::vector<std::string>* notes = nullptr,
                                        int descriptor = -1);

}  // namespace erofs_format
