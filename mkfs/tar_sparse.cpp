#include "mkfs/tar_sparse.h"

#include <fmt/format.h>

#include "mkfs/tar_limits.h"

namespace mkfs {
namespace {

constexpr size_t kOldGnuDescriptor = 24;
constexpr size_t kOldGnuNumber = 12;
constexpr size_t kMaxDecimal = 20;  // digits of a 64-bit number

Error sparse_error(std::string why) { return make_error(Code::corrupt, "sparse map: " + std::move(why)); }

Error too_many_pieces() {
  return make_error(Code::too_large, fmt::format("sparse map has more than {} pieces", kTarMaxSparsePieces));
}

Result<uint64_t> parse_sparse_number(std::string_view text) { return parse_decimal(text, INT64_MAX); }

Result<void> append_piece(std::vector<SparsePiece>& pieces, SparsePiece piece) {
  if (pieces.size() >= kTarMaxSparsePieces) return too_many_pieces();
  pieces.push_back(piece);
  return {};
}

Result<void> set_optional(std::optional<uint64_t>& field, std::string_view value) {
  TRY_ASSIGN(field, parse_sparse_number(value));
  return {};
}

// 0.1: "offset,size,offset,size".
Result<void> parse_map_record(PaxSparse& sparse, std::string_view value) {
  sparse.pieces.clear();
  while (!value.empty()) {
    SparsePiece piece;
    for (uint64_t* number : {&piece.offset, &piece.size}) {
      size_t comma = value.find(',');
      TRY_ASSIGN(*number, parse_sparse_number(value.substr(0, comma)));
      value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    }
    TRY(append_piece(sparse.pieces, piece));
  }
  return {};
}

// 0.0: offset and numbytes come in turns.
Result<void> open_piece(PaxSparse& sparse, std::string_view value) {
  if (sparse.piece_open) return sparse_error("two offsets in a row");
  SparsePiece piece;
  TRY_ASSIGN(piece.offset, parse_sparse_number(value));
  sparse.piece_open = true;
  return append_piece(sparse.pieces, piece);
}

Result<void> close_piece(PaxSparse& sparse, std::string_view value) {
  if (!sparse.piece_open) return sparse_error("a size without an offset");
  TRY_ASSIGN(sparse.pieces.back().size, parse_sparse_number(value));
  sparse.piece_open = false;
  return {};
}

}  // namespace

Result<void> SparseMap::add(SparsePiece piece) {
  uint64_t end = 0;
  if (!checked_add<uint64_t>(piece.offset, piece.size, &end) || end > size) {
    return sparse_error(
        fmt::format("piece at {} of {} bytes leaves the file of {} bytes", piece.offset, piece.size, size));
  }
  if (!pieces.empty() && piece.offset < pieces.back().offset + pieces.back().size) {
    return sparse_error(fmt::format("piece at {} overlaps the one before or goes back", piece.offset));
  }
  return append_piece(pieces, piece);
}

Result<void> SparseMap::validate(uint64_t stored_size) const {
  if (size > kTarMaxSparseSize) {
    return make_error(Code::too_large,
                      fmt::format("sparse file of {} bytes, at most {} are taken", size, kTarMaxSparseSize));
  }
  uint64_t sum = 0;  // pieces are disjoint and inside the file: no overflow
  for (const SparsePiece& piece : pieces) sum += piece.size;
  if (sum != stored_size) {
    return sparse_error(fmt::format("pieces of {} bytes, but {} bytes of data", sum, stored_size));
  }
  return {};
}

Result<void> apply_pax_sparse(PaxSparse& sparse, std::string_view key, std::string_view value) {
  sparse.present = true;
  if (key == "major") return set_optional(sparse.major, value);
  if (key == "minor") return set_optional(sparse.minor, value);
  if (key == "size" || key == "realsize") return set_optional(sparse.size, value);
  if (key == "map") return parse_map_record(sparse, value);
  if (key == "offset") return open_piece(sparse, value);
  if (key == "numbytes") return close_piece(sparse, value);
  if (key == "name") sparse.name = std::string(value);
  return {};
}

Result<PaxSparseForm> pax_sparse_form(const PaxSparse& sparse) {
  uint64_t major = sparse.major.value_or(0);
  uint64_t minor = sparse.minor.value_or(0);
  if (major == 1 && minor == 0) return PaxSparseForm::in_data;
  if (major == 0 && minor <= 1) return PaxSparseForm::records;
  return make_error(Code::unsupported, fmt::format("GNU sparse format {}.{}", major, minor));
}

Result<SparseMap> map_of_records(const PaxSparse& sparse) {
  if (!sparse.size) return sparse_error("no GNU.sparse.size");
  if (sparse.piece_open) return sparse_error("an offset without a size");
  SparseMap map;
  map.size = *sparse.size;
  for (const SparsePiece& piece : sparse.pieces) TRY(map.add(piece));
  return map;
}

Result<void> SparseMapReader::take(ByteView block) {
  for (char c : as_text(block)) {
    if (complete()) return {};  // the rest of the block is padding
    if (c != '\n') {
      if (line_.size() >= kMaxDecimal) return sparse_error("a number is too long");
      line_ += c;
      continue;
    }
    TRY_ASSIGN(uint64_t number, parse_sparse_number(line_));
    line_.clear();
    TRY(take_number(number));
  }
  return {};
}

Result<void> SparseMapReader::take_number(uint64_t number) {
  if (!have_count_) {
    if (number > kTarMaxSparsePieces) return too_many_pieces();
    count_ = number;
    have_count_ = true;
    return {};
  }
  if (numbers_++ % 2 == 0) {
    offset_ = number;
    return {};
  }
  return map_.add({offset_, number});
}

Result<void> add_old_gnu_pieces(ByteView descriptors, SparseMap& map) {
  for (; descriptors.size() >= kOldGnuDescriptor; descriptors = descriptors.subspan(kOldGnuDescriptor)) {
    ByteView size = descriptors.subspan(kOldGnuNumber, kOldGnuNumber);
    if (size[0] == 0) return {};
    SparsePiece piece;
    TRY_ASSIGN(piece.offset, parse_tar_unsigned(descriptors.first(kOldGnuNumber), INT64_MAX));
    TRY_ASSIGN(piece.size, parse_tar_unsigned(size, INT64_MAX));
    TRY(map.add(piece));
  }
  return {};
}

}  // namespace mkfs
