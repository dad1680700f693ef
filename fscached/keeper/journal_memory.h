// The memory of the journal of kernel events (kernel/journal.h): the keeper owns it, workers fill it.
#pragma once

#include <cstddef>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached::keeper {

using namespace erofs_format;

constexpr size_t kJournalSlotBytes = 32;
constexpr size_t kJournalBytes = kEventBufferBytes + kMaxPendingEvents * kJournalSlotBytes;

// Its descriptor cannot be resized by anyone.
Result<os::UniqueFd> create_journal_memory();
// Whether a descriptor is such memory.
Result<void> check_journal_memory(int descriptor);

}  // namespace fscached::keeper
