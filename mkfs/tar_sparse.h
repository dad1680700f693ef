// Sparse files of GNU tar: old 'S' headers and the pax forms 0.0, 0.1 and 1.0.
#pragma once

#include <string_view>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "mkfs/tar_pax.h"

namespace mkfs {

// The pieces of a file that the archive stores, one after the other; between them are holes.
struct SparseMap {
  uint64_t size = 0;  // of the file
  std::vector<SparsePiece> pieces;

  // Adds a piece, which must lie behind the last one.
  Result<void> add(SparsePiece piece);
  // Inside the file, and together as long as the data in the archive.
  Result<void> validate(uint64_t stored_size) const;
};

// One GNU.sparse.KEY record.
Result<void> apply_pax_sparse(PaxSparse& sparse, std::string_view key, std::string_view value);

// How the map of a pax sparse entry is found.
enum class PaxSparseForm { records, in_data };
Result<PaxSparseForm> pax_sparse_form(const PaxSparse& sparse);
// Forms 0.0 and 0.1.
Result<SparseMap> map_of_records(const PaxSparse& sparse);

// Form 1.0: the map is decimal lines at the start of the data, in whole blocks. Takes
// block after block until the map is complete.
class SparseMapReader {
 public:
  explicit SparseMapReader(uint64_t file_size) { map_.size = file_size; }
  Result<void> take(ByteView block);
  bool complete() const { return have_count_ && numbers_ == 2 * count_; }
  SparseMap take_map() { return std::move(map_); }

 private:
  Result<void> take_number(uint64_t number);
  SparseMap map_;
  std::string line_;
  uint64_t count_ = 0;
  uint64_t numbers_ = 0;
  uint64_t offset_ = 0;
  bool have_count_ = false;
};

// Old GNU: descriptors of 24 bytes (offset, size) up to the first empty one.
Result<void> add_old_gnu_pieces(ByteView descriptors, SparseMap& map);

}  // namespace mkfs
