// Archives for tests, made block by block, and a source that hands them out.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "mkfs/source_tar.h"
#include "mkfs/tar_header.h"

namespace mkfs::test {

// Gives at most `step` bytes a time, as a pipe may.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string bytes, size_t step = SIZE_MAX) : bytes_(std::move(bytes)), step_(step) {}
  Result<size_t> read(MutableBytes into) override {
    size_t size = std::min({into.size(), step_, bytes_.size() - at_});
    std::memcpy(into.data(), bytes_.data() + at_, size);
    at_ += size;
    return size;
  }

 private:
  std::string bytes_;
  size_t step_;
  size_t at_ = 0;
};

template <size_t N>
void set_field(uint8_t (&field)[N], std::string_view text) {
  std::memset(field, 0, N);
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

enum class Magic { v7, ustar, gnu };

struct Header {
  TarBlock block{};
  Header(char type, std::string_view name, uint64_t size = 0, Magic magic = Magic::ustar) {
    set_field(block.name, name);
    set_field(block.mode, "0000644");
    set_field(block.uid, "0000001");
    set_field(block.gid, "0000002");
    set_field(block.size, fmt::format("{:011o}", size));
    set_field(block.mtime, "00000000012");
    block.type = static_cast<uint8_t>(type);
    if (magic == Magic::ustar)
      set_field(block.magic, std::string_view("ustar\0"
                                              "00",
                                              8));
    if (magic == Magic::gnu) set_field(block.magic, std::string_view("ustar  ", 8));
  }
  Header& link(std::string_view target) {
    set_field(block.linkname, target);
    return *this;
  }
  // The block with its checksum.
  std::string bytes() {
    std::memset(block.checksum, ' ', sizeof(block.checksum));
    unsigned sum = 0;
    for (uint8_t byte : bytes_of(block)) sum += byte;
    set_field(block.checksum, fmt::format("{:06o}", sum));
    return std::string(as_text(bytes_of(block)));
  }
};

inline std::string padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512);
  return data;
}
inline std::string member(char type, std::string_view name, const std::string& data = "",
                          Magic magic = Magic::ustar) {
  return Header(type, name, data.size(), magic).bytes() + padded(data);
}
inline std::string record(std::string_view key, std::string_view value) {
  size_t body = key.size() + value.size() + 3;
  size_t length = body + std::to_string(body).size();
  length = body + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}
inline std::string pax(const std::string& records) { return member('x', "pax", records); }
inline std::string end_mark() { return std::string(1024, '\0'); }

struct Read {
  std::vector<SourceEntry> entries;
  std::vector<std::string> content;
  std::string error;  // empty = none
};

inline std::string content_of(Source& source, std::string& error) {
  std::string content;
  std::vector<uint8_t> piece(1000);
  for (;;) {
    Result<size_t> got = source.read(piece);
    if (!got) error = got.error().message;
    if (!got || *got == 0) return content;
    content.append(reinterpret_cast<char*>(piece.data()), *got);
  }
}

inline Read read_archive(std::string bytes, size_t step = SIZE_MAX) {
  Read out;
  auto source = make_tar_source(std::make_unique<MemorySource>(std::move(bytes), step), "t.tar");
  for (;;) {
    SourceEntry entry;
    Result<bool> more = (*source)->next(entry);
    if (!more) out.error = more.error().message;
    if (!more || !*more) return out;
    out.content.push_back(content_of(**source, out.error));
    out.entries.push_back(std::move(entry));
    if (!out.error.empty()) return out;
  }
}

}  // namespace mkfs::test
