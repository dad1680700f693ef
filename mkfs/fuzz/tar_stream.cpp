// A tar stream from arbitrary bytes. Checksums are corrected first, so that mutated
// headers get past them; the first byte says how much a read gives at once.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "mkfs/source_tar.h"
#include "mkfs/tar_header.h"
#include "mkfs/tests/tar_archive.h"

using namespace mkfs;

namespace {

void correct_checksum(char* block) {
  constexpr size_t kAt = 148;
  constexpr size_t kSize = 8;
  if (std::all_of(block, block + kTarBlockSize, [](char c) { return c == 0; })) return;
  std::memset(block + kAt, ' ', kSize);
  unsigned sum = 0;
  for (size_t i = 0; i < kTarBlockSize; i++) sum += static_cast<uint8_t>(block[i]);
  for (size_t i = 0; i < kSize - 2; i++) block[kAt + i] = static_cast<char>('0' + (sum >> (15 - 3 * i) & 7));
  block[kAt + kSize - 2] = 0;
}

// An entry that could leave the tree, or content that is not as long as promised, is a fault of ours.
void require(bool truth) {
  if (!truth) std::abort();
}

void check_entry(const SourceEntry& entry) {
  if (!entry.path.empty()) require(*clean_path(entry.path) == entry.path);
  if (entry.path.empty()) require(S_ISDIR(entry.mode));
  if (!entry.hard_link_to.empty()) require(*clean_path(entry.hard_link_to) == entry.hard_link_to);
  require(S_ISLNK(entry.mode) == !entry.target.empty());
  require(entry.mtime_nsec < 1'000'000'000);
  require(S_ISREG(entry.mode) || entry.size == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr size_t kSteps[] = {1, 100, 512, SIZE_MAX};
  size_t step = kSteps[data[0] % 4];
  bool correct = (data[0] & 4) == 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  for (size_t at = 0; correct && at + kTarBlockSize <= bytes.size(); at += kTarBlockSize) {
    correct_checksum(bytes.data() + at);
  }
  if (auto members = list_tar_members(std::make_unique<test::MemorySource>(bytes, step), "fuzz"))
    for (const ArchiveMember& member : *members)
      require(member.offset <= bytes.size() && member.size <= bytes.size() - member.offset);
  auto source = make_tar_source(std::make_unique<test::MemorySource>(bytes, step), "fuzz");
  Buffer piece(64 << 10);
  for (SourceEntry entry;; entry = {}) {
    Result<bool> more = (*source)->next(entry);
    if (!more || !*more) return 0;
    check_entry(entry);
    // Holes cost time only; a few megabytes of them are enough.
    uint64_t total = 0;
    for (Result<size_t> got = size_t{1}; *got != 0 && total < (4 << 20);) {
      got = (*source)->read(piece);
      if (!got) return 0;
      total += *got;
      require(total <= entry.size && (*got != 0 || total == entry.size || !S_ISREG(entry.mode)));
    }
  }
}
