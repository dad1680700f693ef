#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/merge.h"

namespace mkfs {

namespace {

bool is_blob_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// The id a bootstrap's file name says: everything before the first dot.
std::string id_in_name(const std::string& path) {
  std::string name = os::base_name(path);
  return name.substr(0, name.find('.'));
}

Result<std::string> final_id(const Blob& blob, const std::string& path, const OwnBlob& own) {
  if (own.blob_digest && !blob.has(ondisk::kBlobSeparate)) return to_hex(*own.blob_digest);
  if (own.original_id) {
    if (is_blob_id(*own.original_id)) return *own.original_id;
    return make_error(Code::invalid_argument, fmt::format("{}: blob id '{}' is not 64 hex digits", path,
                                                          printable(*own.original_id)));
  }
  if (std::string id = id_in_name(path); is_blob_id(id)) return id;
  // A blob without inlined bootstrap knew its own digest when its bootstrap was written.
  bool knew = blob.has(ondisk::kBlobSeparate) || !blob.has(ondisk::kBlobInlinedFsMeta);
  if (is_blob_id(blob.id) && knew) return blob.id;
  return make_error(Code::invalid_argument,
                    path + ": the id of its blob is unknown: name the file by it, or give --blob-digests");
}

}  // namespace

Result<void> fix_own_blob(Tree& tree, const std::string& path, const OwnBlob& own,
                          const std::set<std::string>& dictionary) {
  auto is_own = [&](const Blob& blob) { return !dictionary.contains(blob.id); };
  auto found = std::find_if(tree.blobs.begin(), tree.blobs.end(), is_own);
  if (found == tree.blobs.end()) return {};
  if (std::any_of(found + 1, tree.blobs.end(), is_own))
    return make_error(Code::invalid_argument,
                      path + ": several data blobs of its own, and no --chunk-dict that has the others");
  Blob& blob = *found;
  TRY_ASSIGN(blob.id, final_id(blob, path, own));
  bool separate = blob.has(ondisk::kBlobSeparate);
  if (separate && own.blob_digest) blob.meta_digest = *own.blob_digest;
  if (own.size) (separate ? blob.meta_size : blob.compressed_size) = *own.size;
  if (own.toc_digest) blob.toc_digest = *own.toc_digest;
  if (own.toc_size) blob.toc_size = static_cast<uint32_t>(*own.toc_size);
  return {};
}

}  // namespace mkfs
