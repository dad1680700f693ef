#include "erofs-format/image/bootstrap_layer.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>

using namespace erofs_format;

namespace {
Buffer inflated(const Buffer& gzip, size_t size) {
  Buffer out(size + 1);
  z_stream stream = {};
  REQUIRE(::inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = const_cast<Bytef*>(gzip.data());
  stream.avail_in = static_cast<uInt>(gzip.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(::inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  ::inflateEnd(&stream);
  return out;
}
}  // namespace

TEST_CASE("the bootstrap layer is a gzipped tar without times") {
  std::vector<LayerFile> files = {
      {"image.boot", Buffer(5000, 'b')}, {"x.blob.meta", Buffer(512, 'm')}, {"empty", {}}};
  auto layer = make_bootstrap_layer(files);
  REQUIRE(layer);
  // Time and flags in the gzip header are zero.
  CHECK(layer->gzip[3] == 0);
  for (size_t i = 4; i < 8; i++) CHECK(layer->gzip[i] == 0);
  size_t size = 512 * 4 + 5120 + 512 + 1024;
  Buffer tar = inflated(layer->gzip, size);
  REQUIRE(tar.size() == size);
  CHECK(layer->diff_id == sha256(tar));
  CHECK(text_field(ByteView(tar).first(100)) == "image/");
  CHECK(text_field(ByteView(tar).subspan(512, 100)) == "image/image.boot");
  CHECK(text_field(ByteView(tar).subspan(512 + 100, 8)) == "0000444");
  CHECK(text_field(ByteView(tar).subspan(512 + 124, 12)) == "00000011610");
  CHECK(tar[1024] == 'b');
  CHECK(tar[1024 + 5000] == 0);
  CHECK(text_field(ByteView(tar).subspan(1024 + 5120, 100)) == "image/x.blob.meta");
  auto again = make_bootstrap_layer(files);
  CHECK(again->gzip == layer->gzip);
}
