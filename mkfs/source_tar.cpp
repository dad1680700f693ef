#include "mkfs/source_tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "erofs-format/base/log.h"
#include "erofs-format/bootstrap/encoding.h"
#include "mkfs/tar_header.h"
#include "mkfs/tar_input.h"
#include "mkfs/tar_limits.h"

namespace mkfs {
namespace {

class TarSource : public Source {
 public:
  TarSource(std::unique_ptr<ByteSource> input, std::string name)
      : input_(std::move(input)), name_(std::move(name)) {}

  Result<bool> next(SourceEntry& entry) override;
  Result<size_t> read(MutableBytes into) override;
  std::optional<uint64_t> position() const override {
    bool whole = map_.pieces.size() == 1 && map_.pieces[0].offset == 0 && map_.pieces[0].size == map_.size;
    return whole ? std::optional(input_.position()) : std::nullopt;
  }
  // Before read(): where the content of a member that is not sparse lies.
  std::optional<uint64_t> content_at() const {
    return is_sparse_ ? std::nullopt : std::optional(input_.position());
  }

 private:
  // What reading one header block led to.
  enum class Step { member, extension, end };

  Result<Step> step(SourceEntry& entry);
  Result<bool> read_header();
  Result<void> apply_extension(TarRole role);
  Result<Buffer> extension_data(size_t limit);
  Result<std::string> long_text();
  Result<void> start_member(SourceEntry& entry);
  Result<void> read_sparse_map(TarMember& member);
  Result<void> read_old_gnu_map(TarMember& member);
  Result<void> read_map_in_data(TarMember& member);
  Result<void> read_block(MutableBytes block);
  Result<void> finish_member();
  void forget_extensions();
  Result<bool> finish_archive();
  void drop_foreign_xattrs(SourceEntry& entry);
  void set_single_piece(uint64_t size);
  size_t read_hole(MutableBytes into);
  Result<size_t> read_piece(MutableBytes into);
  Error fail(Error error) const;
  Error truncated() const;

  TarInput input_;
  std::string name_;
  TarBlock block_;
  uint64_t header_at_ = 0;  // byte of block_
  PaxFields global_;
  TarExtensions extensions_;
  bool extended_ = false;  // extension headers wait for their member
  bool has_name_ = false;  // block_ is a member's, for messages

  SparseMap map_;             // of the member's content
  size_t piece_ = 0;          // the piece at or after offset_
  uint64_t offset_ = 0;       // in the file
  uint64_t stored_left_ = 0;  // bytes of data not read yet
  uint64_t padding_ = 0;      // bytes after them, up to the next block
  bool is_sparse_ = false;
  bool ended_ = false;
  bool warned_of_xattrs_ = false;
};

uint64_t padding_of(uint64_t size) { return (kTarBlockSize - size % kTarBlockSize) % kTarBlockSize; }

Error TarSource::fail(Error error) const {
  std::string where = name_ + ": ";
  if (has_name_) {
    where += fmt::format("entry {}: ", printable(raw_name(block_, extensions_).substr(0, kTarMaxShownPath)));
  }
  error.message = where + fmt::format("header at byte {}: ", header_at_) + error.message;
  return error;
}

Error TarSource::truncated() const {
  return fail(
      make_error(Code::corrupt, fmt::format("the archive ends at byte {}, too early", input_.position())));
}

Result<bool> TarSource::next(SourceEntry& entry) {
  if (ended_) return false;
  TRY(finish_member());
  forget_extensions();
  for (;;) {
    TRY_ASSIGN(Step reached, step(entry));
    if (reached == Step::member) return true;
    if (reached == Step::end) return finish_archive();
  }
}

Result<TarSource::Step> TarSource::step(SourceEntry& entry) {
  has_name_ = false;
  TRY_ASSIGN(bool more, read_header());
  if (!more) return Step::end;
  Result<void> checksum = verify_checksum(block_);
  if (!checksum) return fail(std::move(checksum).error());
  Result<TarRole> role = role_of(block_);
  if (role && *role != TarRole::member && *role != TarRole::volume_label) {
    TRY(apply_extension(*role));
    return Step::extension;
  }
  has_name_ = true;
  if (!role) return fail(std::move(role).error());
  if (*role == TarRole::member) {
    TRY(start_member(entry));
    return Step::member;
  }
  Result<uint64_t> size = stored_size(block_, extensions_.pax);
  if (!size) return fail(std::move(size).error());
  forget_extensions();  // they were the label's
  return Step::extension;
}

// False at the end: a block of zeros (GNU tar stops at the first, too), or no block at all.
Result<bool> TarSource::read_header() {
  header_at_ = input_.position();
  TRY_ASSIGN(size_t got, input_.read_fully({reinterpret_cast<uint8_t*>(&block_), sizeof(block_)}));
  if (got != 0 && got != sizeof(block_)) return truncated();
  bool more = got != 0 && !is_zero_block(block_);
  if (!more && extended_) {
    return fail(make_error(Code::corrupt, "the archive ends after an extension header"));
  }
  return more;
}

// Reads what is left, so that a writer into a FIFO is not killed and a compressed
// stream is verified to its end.
Result<bool> TarSource::finish_archive() {
  ended_ = true;
  TRY(input_.skip(UINT64_MAX));
  return false;
}

Result<void> TarSource::apply_extension(TarRole role) {
  // Nobody writes this, and readers would not agree on which of the two counts.
  if (role == TarRole::global_header && extended_) {
    return fail(make_error(Code::corrupt, "global header between an extended header and its member"));
  }
  extended_ = role != TarRole::global_header;
  Result<void> applied;
  if (role == TarRole::gnu_long_name) {
    TRY_ASSIGN(extensions_.long_name, long_text());
  } else if (role == TarRole::gnu_long_link) {
    TRY_ASSIGN(extensions_.long_link, long_text());
  } else if (role == TarRole::pax_header) {
    TRY_ASSIGN(Buffer header, extension_data(kTarMaxPaxHeader));
    applied = apply_pax_header(header, extensions_.pax);
  } else {
    TRY_ASSIGN(Buffer header, extension_data(kTarMaxGlobalPaxHeader));
    applied = apply_global_pax_header(header, global_);
    extensions_.pax = global_;
  }
  if (!applied) return fail(std::move(applied).error());
  return {};
}

Result<Buffer> TarSource::extension_data(size_t limit) {
  Result<uint64_t> size = size_field(block_);
  if (!size) return fail(std::move(size).error());
  if (*size > limit) {
    return fail(make_error(Code::too_large,
                           fmt::format("extension header of {} bytes, at most {} are taken", *size, limit)));
  }
  Buffer data(static_cast<size_t>(*size));
  TRY_ASSIGN(size_t got, input_.read_fully(data));
  TRY_ASSIGN(uint64_t skipped, input_.skip(padding_of(*size)));
  if (got != data.size() || skipped != padding_of(*size)) return truncated();
  return data;
}

// GNU long names end with a NUL that their size counts.
Result<std::string> TarSource::long_text() {
  TRY_ASSIGN(Buffer data, extension_data(kTarMaxPath + 1));
  return std::string(text_field(data));
}

Result<void> TarSource::start_member(SourceEntry& entry) {
  Result<TarMember> member = decode_member(block_, extensions_);
  if (!member) return fail(std::move(member).error());
  offset_ = 0;
  piece_ = 0;
  stored_left_ = member->stored_size;
  padding_ = padding_of(member->stored_size);
  is_sparse_ = member->sparse != TarSparseForm::none;
  if (!is_sparse_) {
    set_single_piece(S_ISREG(member->entry.mode) ? member->stored_size : 0);
  } else {
    TRY(read_sparse_map(*member));
    map_ = std::move(member->map);
  }
  entry = std::move(member->entry);
  drop_foreign_xattrs(entry);
  return {};
}

// Attributes of other systems (com.apple.…) are what Linux refuses to set, so tar leaves them out too.
void TarSource::drop_foreign_xattrs(SourceEntry& entry) {
  auto is_foreign = [](const auto& xattr) { return split_xattr_name(xattr.first).index == 0; };
  auto first = std::find_if(entry.xattrs.begin(), entry.xattrs.end(), is_foreign);
  if (first == entry.xattrs.end()) return;
  if (!warned_of_xattrs_) {
    log_line(LogLevel::warn, "tar",
             fmt::format("{}: entry {}: xattr {} and others of its kind are left out", name_,
                         printable(entry.path), printable(first->first)));
  }
  warned_of_xattrs_ = true;
  std::erase_if(entry.xattrs, is_foreign);
}

void TarSource::set_single_piece(uint64_t size) {
  map_.size = size;
  map_.pieces.assign(1, SparsePiece{0, size});
}

Result<void> TarSource::read_sparse_map(TarMember& member) {
  if (member.sparse == TarSparseForm::old_gnu) TRY(read_old_gnu_map(member));
  if (member.sparse == TarSparseForm::in_data) TRY(read_map_in_data(member));
  Result<void> valid = member.map.validate(stored_left_);
  if (!valid) return fail(std::move(valid).error());
  return {};
}

Result<void> TarSource::read_block(MutableBytes block) {
  TRY_ASSIGN(size_t got, input_.read_fully(block));
  if (got != block.size()) return truncated();
  return {};
}

// Further descriptors are in blocks of their own between header and data.
Result<void> TarSource::read_old_gnu_map(TarMember& member) {
  bool more = block_.gnu.is_extended != 0;
  while (more) {
    TarSparseBlock block;
    TRY(read_block({reinterpret_cast<uint8_t*>(&block), sizeof(block)}));
    Result<void> added = add_old_gnu_pieces(block.sparse, member.map);
    if (!added) return fail(std::move(added).error());
    more = block.is_extended != 0;
  }
  return {};
}

Result<void> TarSource::read_map_in_data(TarMember& member) {
  SparseMapReader reader(member.map.size);
  while (!reader.complete()) {
    if (stored_left_ < kTarBlockSize) {
      return fail(make_error(Code::corrupt, "sparse map: it is longer than the data"));
    }
    std::array<uint8_t, kTarBlockSize> block;
    TRY(read_block(block));
    stored_left_ -= block.size();
    Result<void> taken = reader.take(block);
    if (!taken) return fail(std::move(taken).error());
  }
  member.map = reader.take_map();
  return {};
}

// Only global headers outlast a member.
void TarSource::forget_extensions() {
  extensions_ = TarExtensions{};
  extensions_.pax = global_;
  extended_ = false;
}

// Some writers (umoci insert) leave out what comes after the last member's content, its padding too;
// container tools take such layers.
Result<void> TarSource::finish_member() {
  uint64_t content = stored_left_;
  uint64_t all = content + padding_;
  stored_left_ = padding_ = 0;
  TRY_ASSIGN(uint64_t skipped, input_.skip(all));
  if (skipped < content) return truncated();
  return {};
}

Result<size_t> TarSource::read(MutableBytes into) {
  while (piece_ < map_.pieces.size() && offset_ == map_.pieces[piece_].offset + map_.pieces[piece_].size) {
    piece_++;
  }
  if (offset_ == map_.size || into.empty()) return size_t{0};
  if (piece_ == map_.pieces.size() || offset_ < map_.pieces[piece_].offset) return read_hole(into);
  return read_piece(into);
}

size_t TarSource::read_hole(MutableBytes into) {
  uint64_t end = piece_ == map_.pieces.size() ? map_.size : map_.pieces[piece_].offset;
  size_t size = static_cast<size_t>(std::min<uint64_t>(into.size(), end - offset_));
  std::memset(into.data(), 0, size);
  offset_ += size;
  return size;
}

Result<size_t> TarSource::read_piece(MutableBytes into) {
  uint64_t end = map_.pieces[piece_].offset + map_.pieces[piece_].size;
  size_t size = static_cast<size_t>(std::min<uint64_t>(into.size(), end - offset_));
  TRY_ASSIGN(size_t got, input_.read(into.first(size)));
  if (got == 0) return truncated();
  offset_ += got;
  stored_left_ -= got;
  return got;
}

}  // namespace

Result<std::unique_ptr<Source>> make_tar_source(std::unique_ptr<ByteSource> input, std::string name) {
  return std::unique_ptr<Source>(std::make_unique<TarSource>(std::move(input), std::move(name)));
}

Result<std::vector<ArchiveMember>> list_tar_members(std::unique_ptr<ByteSource> input, std::string name) {
  std::vector<ArchiveMember> members;
  TarSource source(std::move(input), name);
  SourceEntry entry;
  for (;;) {
    TRY_ASSIGN(bool more, source.next(entry));
    if (!more) return members;
    bool hard_link = !entry.hard_link_to.empty();
    std::string link = hard_link ? entry.hard_link_to : entry.target;
    auto content = source.content_at();
    if (!hard_link && !S_ISLNK(entry.mode) && !(S_ISREG(entry.mode) && content)) continue;
    if (members.size() == kTarMaxListed)
      return make_error(Code::too_large, fmt::format("{}: more than {} files", name, kTarMaxListed));
    members.push_back({entry.path, content.value_or(0), entry.size, std::move(link), hard_link});
  }
}

}  // namespace mkfs
