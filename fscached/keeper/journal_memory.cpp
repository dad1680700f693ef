#include "fscached/keeper/journal_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fscached::keeper {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Result<os::UniqueFd> create_journal_memory() {
  os::UniqueFd memory(memfd_create("fscached-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return errno_error("journal: memfd_create");
  if (ftruncate(memory.get(), kJournalBytes) != 0) return errno_error("journal: ftruncate");
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return errno_error("journal: seal");
  return memory;
}

Result<void> check_journal_memory(int descriptor) {
  TRY_ASSIGN(struct stat status, os::stat_of(descriptor, "journal"));
  if (static_cast<uint64_t>(status.st_size) == kJournalBytes && fcntl(descriptor, F_GET_SEALS) == kSeals)
    return {};
  return make_error(Code::corrupt, "descriptor store: 'journal' is no journal of this version");
}

}  // namespace fscached::keeper
