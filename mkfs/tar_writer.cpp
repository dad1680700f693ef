#include "mkfs/tar_writer.h"

#include <fmt/format.h>

#include "erofs-format/base/os.h"
#include "erofs-format/ondisk/blob.h"

namespace mkfs {

namespace {

using ondisk::tar_header;

constexpr uint64_t kTarBlock = 512;
constexpr uint64_t kTarRecord = 10240;
constexpr size_t kBufferSize = 256 << 10;
constexpr char kTypePax = 'x';

template <size_t N>
void put_text(uint8_t (&field)[N], std::string_view text) {
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

// Octal digits and a NUL; false when the number needs more.
template <size_t N>
bool put_octal(uint8_t (&field)[N], uint64_t value) {
  std::string digits = fmt::format("{:0{}o}", value, N - 1);
  if (digits.size() > N - 1) return false;
  put_text(field, digits);
  return true;
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest != length)
    length = fmt::formatted_size("{}", length) + rest;
  fmt::format_to(std::back_inserter(records), "{} {}={}\n", length, key, value);
}

char type_flag(const TarOutputMember& member, const Inode& inode) {
  if (member.hard_link) return '1';
  switch (inode.mode & S_IFMT) {
    case S_IFDIR: return '5';
    case S_IFLNK: return '2';
    case S_IFCHR: return '3';
    case S_IFBLK: return '4';
    case S_IFIFO: return '6';
    default: return '0';
  }
}

std::string decimal_time(const Inode& inode) {
  if (inode.mtime_nsec == 0) return fmt::format("{}", inode.mtime);
  // Before 1970 the fraction counts towards zero: -1.75 is second -2 and 0.25 s.
  if (inode.mtime < 0) return fmt::format("-{}.{:09}", -(inode.mtime + 1), 1000000000u - inode.mtime_nsec);
  return fmt::format("{}.{:09}", inode.mtime, inode.mtime_nsec);
}

void put_number(std::string& records, std::string_view key, bool fits, uint64_t value) {
  if (!fits) add_record(records, key, fmt::format("{}", value));
}

void finish_header(tar_header& header) {
  put_text(header.magic, std::string_view("ustar\0", 6));
  put_text(header.version, "00");
  std::memset(header.chksum, ' ', sizeof(header.chksum));
  uint32_t sum = 0;
  for (uint8_t byte : bytes_of(header)) sum += byte;
  put_text(header.chksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
}

// Fills the header; what does not fit goes to `records`.
tar_header make_header(const TarOutputMember& member, const Inode& inode, std::string& records) {
  tar_header header = {};
  std::string path = member.path + (inode.is_directory() ? "/" : "");
  put_text(header.name, path);
  if (path.size() > sizeof(header.name)) add_record(records, "path", path);
  put_text(header.linkname, member.link);
  if (member.link.size() > sizeof(header.linkname)) add_record(records, "linkpath", member.link);
  put_octal(header.mode, inode.mode & 07777);
  put_number(records, "uid", put_octal(header.uid, inode.uid), inode.uid);
  put_number(records, "gid", put_octal(header.gid, inode.gid), inode.gid);
  uint64_t size = inode.is_regular() && !member.hard_link ? inode.size : 0;
  put_number(records, "size", put_octal(header.size, size), size);
  bool whole = inode.mtime >= 0 && inode.mtime_nsec == 0 &&
               put_octal(header.mtime, static_cast<uint64_t>(inode.mtime));
  if (!whole) add_record(records, "mtime", decimal_time(inode));
  header.typeflag = static_cast<uint8_t>(type_flag(member, inode));
  if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
    put_octal(header.devmajor, device_major(inode.rdev));
    put_octal(header.devminor, device_minor(inode.rdev));
  }
  if (inode.xattrs && !member.hard_link)
    for (const auto& [name, value] : *inode.xattrs) add_record(records, "SCHILY.xattr." + name, value);
  finish_header(header);
  return header;
}

tar_header make_pax_header(uint64_t size) {
  tar_header header = {};
  put_text(header.name, "././@PaxHeader");
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, size);
  put_octal(header.mtime, 0);
  header.typeflag = kTypePax;
  finish_header(header);
  return header;
}

}  // namespace

// Whole blocks only: tar programs that read a FIFO do not join broken ones.
Result<void> TarWriter::flush() {
  size_t whole = buffer_.size() / kTarBlock * kTarBlock;
  TRY(os::write_all(fd_, ByteView(buffer_).first(whole), name_));
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<long>(whole));
  return {};
}

Result<void> TarWriter::write(ByteView bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  size_ += bytes.size();
  return buffer_.size() < kBufferSize ? Result<void>() : flush();
}

Result<void> TarWriter::pad(uint64_t multiple) {
  return write(Buffer(div_up(size_, multiple) * multiple - size_));
}

Result<void> TarWriter::begin(const TarOutputMember& member, const Inode& inode) {
  std::string records;
  tar_header header = make_header(member, inode, records);
  if (!records.empty()) {
    TRY(write(bytes_of(make_pax_header(records.size()))));
    TRY(write(as_bytes(records)));
    TRY(pad(kTarBlock));
  }
  return write(bytes_of(header));
}

Result<void> TarWriter::content(ByteView bytes) { return write(bytes); }

Result<void> TarWriter::end() { return pad(kTarBlock); }

Result<void> TarWriter::finish() {
  TRY(write(Buffer(2 * kTarBlock)));
  TRY(pad(kTarRecord));
  return flush();
}

}  // namespace mkfs
