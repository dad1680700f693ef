#include "fscached/object/raw_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "erofs-format/base/os.h"
#include "erofs-format/ondisk/erofs.h"

namespace fscached {

namespace {

constexpr size_t kSuperOffset = 1024;
constexpr uint8_t kPageBits = 12;
// Chunked files, and none of the features that compression brings. A compressed image over cachefiles can
// hang or corrupt the kernel (kernel/on-demand.md 1.10).
constexpr uint32_t kPlainFeatures = ondisk::kIncompatChunkedFile;

Result<void> check_superblock(const ondisk::erofs_super_block& super) {
  auto refuse = [](std::string_view why) { return make_error(Code::unsupported, std::string(why)); };
  if (super.magic != ondisk::kSuperMagic) return make_error(Code::corrupt, "byte 1024: is no EROFS image");
  if (super.blkszbits != kPageBits) return refuse("byte 1036: its blocks are not 4096 bytes");
  if (super.extra_devices != 0) return refuse("byte 1110: it has devices: name --blobs if it is a bootstrap");
  if ((super.feature_incompat & ~kPlainFeatures) != 0 || super.available_compr_algs != 0)
    return refuse(fmt::format("byte 1104: features 0x{:x}: compressed or newer than known",
                              super.feature_incompat.value()));
  return {};
}

Result<void> copy(int from, int to, const std::string& name) {
  for (;;) {
    constexpr size_t kStep = 16 << 20;
    ssize_t copied = copy_file_range(from, nullptr, to, nullptr, kStep, 0);
    if (copied == 0) return {};
    if (copied < 0 && errno != EINTR) return errno_error(name);
  }
}

}  // namespace

Result<void> keep_raw_image(int source, const std::string& name, const std::string& to) {
  Buffer head(kSuperOffset + sizeof(ondisk::erofs_super_block));
  TRY(os::pread_exact(source, 0, head, name));
  auto checked = check_superblock(*struct_at<ondisk::erofs_super_block>(head, kSuperOffset));
  if (!checked) return std::move(checked).error().within(name);
  TRY_ASSIGN(os::PendingFile file, os::PendingFile::create(os::parent_directory(to), 0600));
  TRY(copy(source, file.fd(), name));
  return file.publish(os::base_name(to));
}

}  // namespace fscached
