#include "erofs-format/image/bootstrap_layer.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>

#include "erofs-format/base/checked.h"
#include "erofs-format/base/codec.h"
#include "erofs-format/base/os.h"
#include "erofs-format/blob/chunk_table.h"

namespace erofs_format {

namespace {

constexpr size_t kTarBlock = 512;
constexpr size_t kMaxName = 90;
constexpr int kGzipLevel = 6;
constexpr int kGzipWindow = 15 + 16;  // 16: a gzip frame, whose time is 0 and name empty
constexpr uint64_t kCacheAlignment = 4096;

struct UstarHeader {
  char name[100] = {}, mode[8] = {}, uid[8] = {}, gid[8] = {}, size[12] = {}, mtime[12] = {};
  char checksum[8] = {'\x20', '\x20', '\x20', '\x20', '\x20', '\x20', '\x20', '\x20'};
  char type = '0', link[100] = {}, magic[6] = {'u', 's', 't', 'a', 'r', '\0'}, version[2] = {'0', '0'};
  char user[32] = {}, group[32] = {}, major[8] = {}, minor[8] = {}, prefix[155] = {}, pad[12] = {};
};
static_assert(sizeof(UstarHeader) == kTarBlock);

template <size_t N>
void octal(char (&field)[N], uint64_t value) {
  for (size_t i = N - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

UstarHeader header(const std::string& name, char type, uint32_t mode, uint64_t size) {
  UstarHeader entry;
  std::memcpy(entry.name, name.data(), name.size());
  octal(entry.mode, mode);
  octal(entry.uid, 0);
  octal(entry.gid, 0);
  octal(entry.size, size);
  octal(entry.mtime, 0);
  entry.type = type;
  uint32_t sum = 0;
  ByteView bytes(reinterpret_cast<const uint8_t*>(&entry), sizeof entry);
  for (uint8_t byte : bytes) sum += byte;
  // Six digits, NUL, and the space that is there already.
  std::string digits = fmt::format("{:06o}", sum);
  std::memcpy(entry.checksum, digits.c_str(), digits.size() + 1);
  return entry;
}

// Tar bytes in, gzip bytes out.
class GzipSink {
 public:
  ~GzipSink() {
    if (open_) ::deflateEnd(&stream_);
  }
  Result<void> open() {
    if (::deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      return make_error(Code::internal, "bootstrap layer: zlib cannot start");
    open_ = true;
    return {};
  }
  Result<void> write(ByteView bytes) {
    hash_.update(bytes);
    // zlib counts in 32 bits.
    for (constexpr size_t kStep = 1 << 30; !bytes.empty();) {
      ByteView part = bytes.first(std::min(bytes.size(), kStep));
      TRY(deflate_all(part, Z_NO_FLUSH));
      bytes = bytes.subspan(part.size());
    }
    return {};
  }
  Result<BootstrapLayer> finish() {
    TRY(deflate_all({}, Z_FINISH));
    return BootstrapLayer{std::move(out_), hash_.digest()};
  }

 private:
  Result<void> deflate_all(ByteView bytes, int flush) {
    stream_.next_in = const_cast<Bytef*>(bytes.data());
    stream_.avail_in = narrow<uInt>(bytes.size());
    constexpr size_t kOut = 1 << 18;
    do {
      size_t old = out_.size();
      out_.resize(old + kOut);
      stream_.next_out = out_.data() + old;
      stream_.avail_out = kOut;
      if (::deflate(&stream_, flush) == Z_STREAM_ERROR)
        return make_error(Code::internal, "bootstrap layer: zlib failed");
      out_.resize(old + (kOut - stream_.avail_out));
    } while (stream_.avail_out == 0);
    return {};
  }

  z_stream stream_ = {};
  bool open_ = false;
  Sha256 hash_;
  Buffer out_;
};

Result<void> write_struct(GzipSink& sink, const UstarHeader& entry) {
  return sink.write({reinterpret_cast<const uint8_t*>(&entry), sizeof entry});
}

}  // namespace

Result<BootstrapLayer> make_bootstrap_layer(const std::vector<LayerFile>& files) {
  static constexpr uint8_t kZeros[2 * kTarBlock] = {};
  GzipSink sink;
  TRY(sink.open());
  TRY(write_struct(sink, header("image/", '5', 0755, 0)));
  for (const LayerFile& file : files) {
    if (file.name.size() > kMaxName)
      return make_error(Code::internal, "bootstrap layer: name too long: " + file.name);
    TRY(write_struct(sink, header("image/" + file.name, '0', 0444, file.bytes.size())));
    TRY(sink.write(file.bytes));
    TRY(sink.write(ByteView(kZeros).first(align_up(file.bytes.size(), kTarBlock) - file.bytes.size())));
  }
  TRY(sink.write(kZeros));
  return sink.finish();
}

Result<Buffer> cached_chunk_table(const Blob& blob, int blob_fd, const std::string& name) {
  ChunkTableLocation location = chunk_table_location(blob);
  Buffer stored(location.size);
  TRY(os::pread_exact(blob_fd, location.offset, stored, name));
  ByteView data = ByteView(stored).first(blob.ci_compressed_size);
  ByteView tail = ByteView(stored).subspan(blob.ci_compressed_size);
  Buffer cached(blob.ci_uncompressed_size);
  auto compressor = static_cast<Compressor>(blob.ci_compressor);
  if (compressor == Compressor::none) {
    if (data.size() != cached.size())
      return make_error(Code::corrupt, fmt::format("{}: chunk information: {} bytes, {} expected", name,
                                                   data.size(), cached.size()));
    std::copy(data.begin(), data.end(), cached.begin());
  } else {
    Decoder decoder;
    auto decoded = decoder.decompress(compressor, data, cached);
    if (!decoded) return std::move(decoded).error().within(name + ": chunk information");
  }
  cached.resize(align_up(cached.size(), kCacheAlignment));
  cached.insert(cached.end(), tail.begin(), tail.end());
  return cached;
}

}  // namespace erofs_format
