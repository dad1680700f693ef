// An origin that lies, in front of a blob in the cache: whatever it answers the reader gets the right bytes
// or EIO, nothing wrong is written or called present, and the next good answer is taken.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "erofs-format/base/codec.h"
#include "fscached/object/blob_object.h"
#include "fscached/tests/fake_kernel.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;

namespace {

constexpr uint32_t kChunks = 8, kSize = 6000, kStep = 8192;
const std::string kBlob(64, 'd');

// Compressible, and different for each seed.
Buffer chunk_content(uint32_t seed) {
  Buffer bytes(kSize);
  uint32_t state = seed * 2654435761u + 1;
  for (uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>('a' + (state >> 28));
  }
  return bytes;
}

// A blob as a builder writes it, one chunk behind the other.
struct StoredBlob {
  StoredBlob(Compressor compressor, uint32_t first_seed) {
    for (uint32_t i = 0; i < kChunks; i++) {
      raw.push_back(chunk_content(first_seed + i));
      starts.push_back(bytes.size());
      bytes += encode(compressor, raw.back());
    }
    starts.push_back(bytes.size());
  }
  static std::string encode(Compressor compressor, const Buffer& raw) {
    if (compressor == Compressor::none) return std::string(as_text(raw));
    auto encoder = Encoder::create(compressor);
    REQUIRE(encoder);
    Buffer out;
    auto packed = encoder->compress(raw, out);
    REQUIRE(packed);
    return std::string(as_text(*packed));
  }
  std::string chunk(uint32_t i) const { return bytes.substr(starts[i], starts[i + 1] - starts[i]); }

  std::vector<Buffer> raw;
  std::vector<uint64_t> starts;
  std::string bytes;
};

// What a lie is made of.
struct Lie {
  const StoredBlob& blob;
  const StoredBlob& other;  // another blob
  Compressor compressor;
  uint32_t chunk;
  std::string head;  // of the right answer
  std::string body;
};

FakeReply sized(const Lie& lie, std::string body) {
  return {lie.head + fmt::format("Content-Length: {}\r\n\r\n", lie.body.size()) + std::move(body)};
}
FakeReply unsized(const Lie& lie, const std::string& body) {
  return {lie.head + "\r\n" + body, FakeReply::End::close};
}

// Bytes from elsewhere, as many as were asked.
std::string taken(const std::string& from, uint64_t at, size_t count) {
  std::string piece = from.substr(std::min<uint64_t>(at, from.size()), count);
  return piece + std::string(count - piece.size(), '\0');
}

std::string swapped(std::string body) {
  for (size_t i = body.size() / 2; i + 1 < body.size(); i++) {
    if (body[i] == body[i + 1]) continue;
    std::swap(body[i], body[i + 1]);
    break;
  }
  return body;
}
std::string flipped(std::string body) {
  body[body.size() / 2] = static_cast<char>(body[body.size() / 2] ^ 1);
  return body;
}

// As long as the right frame, sound in itself, and of something else.
std::string frame_of_other_content(const Lie& lie) {
  for (uint32_t seed = 1000; seed < 4000; seed++) {
    std::string frame = StoredBlob::encode(lie.compressor, chunk_content(seed));
    if (frame.size() == lie.body.size()) return frame;
  }
  FAIL("no frame of that length");
  return {};
}

struct Corruption {
  const char* name;
  std::function<FakeReply(const Lie&)> answer;
  bool mended = false;  // by asking again, within the same read
};

std::vector<Corruption> corruptions() {
  auto zeros = [](const Lie& lie) { return std::string(lie.body.size(), '\0'); };
  return {
      {"bit flip", [](const Lie& lie) { return sized(lie, flipped(lie.body)); }},
      {"bytes swapped", [](const Lie& lie) { return sized(lie, swapped(lie.body)); }},
      {"truncated", [](const Lie& lie) { return unsized(lie, lie.body.substr(0, lie.body.size() - 1)); },
       true},
      {"extended", [](const Lie& lie) { return unsized(lie, lie.body + "x"); }},
      {"another chunk",
       [](const Lie& lie) {
         return sized(lie, taken(lie.blob.chunk((lie.chunk + 1) % kChunks), 0, lie.body.size()));
       }},
      {"an older version",
       [](const Lie& lie) {
         Buffer older = lie.blob.raw[lie.chunk];
         std::rotate(older.begin(), older.begin() + 100, older.begin() + 200);
         return sized(lie, taken(StoredBlob::encode(lie.compressor, older), 0, lie.body.size()));
       }},
      {"zeros", [zeros](const Lie& lie) { return sized(lie, zeros(lie)); }},
      {"an error page with 200",
       [](const Lie&) { return FakeReply{http_reply(200, "", "<html>Sign in</html>")}; }},
      {"gzip-encoded",
       [](const Lie& lie) {
         Lie encoded = lie;
         encoded.head += "Content-Encoding: gzip\r\n";
         return sized(encoded, lie.body);
       }},
      {"the wrong range",
       [](const Lie& lie) {
         return FakeReply{
             http_reply(206, fmt::format("Content-Range: bytes 1-{}/99999\r\n", lie.body.size()), lie.body)};
       }},
      {"shifted by one",
       [](const Lie& lie) {
         return sized(lie, taken(lie.blob.bytes, lie.blob.starts[lie.chunk] + 1, lie.body.size()));
       }},
      {"empty", [](const Lie& lie) { return unsized(lie, ""); }, true},
      {"half, then a reset",
       [](const Lie& lie) {
         FakeReply reply = sized(lie, lie.body.substr(0, lie.body.size() / 2));
         reply.end = FakeReply::End::reset;
         return reply;
       },
       true},
      {"the first half twice",
       [](const Lie& lie) {
         size_t half = lie.body.size() / 2;
         return sized(lie, taken(lie.body.substr(0, half) + lie.body, 0, lie.body.size()));
       }},
      {"another blob",
       [](const Lie& lie) {
         return sized(lie, taken(lie.other.bytes, lie.blob.starts[lie.chunk], lie.body.size()));
       }},
      {"a sound frame of other content",
       [](const Lie& lie) { return sized(lie, frame_of_other_content(lie)); }},
  };
}

// One blob, its origin and its cache file.
struct World {
  World(const Corruption& what, Compressor how)
      : corruption(what), compressor(how), blob(how, 1), other(how, 100) {
    auto opened = open_storage(*loop, origin.url("/"), storage_counters, quick_options());
    REQUIRE(opened);
    AttachedFile file = {1, std::make_shared<FakeFile>(*loop, data_path(), kChunks * kStep, watched),
                         scratch.path() + "/presence", std::nullopt};
    ObjectEnvironment environment = {*loop, pool, memory, counters, 60'000};
    object = std::make_shared<BlobObject>(environment, std::move(file), layout());
    object->add_source(std::move(*opened));
  }
  std::string data_path() const { return scratch.path() + "/data"; }

  std::shared_ptr<const BlobLayout> layout() const {
    Blob described;
    described.id = kBlob;
    described.compressor = compressor;
    described.uncompressed_size = kChunks * kStep;
    ChunkTable table;
    std::vector<Digest> digests;
    for (uint32_t i = 0; i < kChunks; i++) {
      ChunkSpan span;
      span.uncompressed_offset = i * kStep;
      span.uncompressed_size = kSize;
      span.compressed_offset = blob.starts[i];
      span.compressed_size = static_cast<uint32_t>(blob.starts[i + 1] - blob.starts[i]);
      span.compressed = compressor != Compressor::none;
      table.chunks.push_back(span);
      digests.push_back(digest_of(Digester::blake3, blob.raw[i]));
    }
    auto made = BlobLayout::create(described, std::move(table), std::move(digests));
    REQUIRE(made);
    return *made;
  }

  FakeReply answer(const FakeRequest& request) {
    if (lies_left == 0) return honest_reply(request, blob.bytes);
    lies_left--;
    auto [first, last] = *request.range();
    std::string head =
        fmt::format("HTTP/1.1 206 X\r\nContent-Range: bytes {}-{}/{}\r\n", first, last, blob.bytes.size());
    return corruption.answer(
        {blob, other, compressor, chunk, head, blob.bytes.substr(first, last - first + 1)});
  }

  // The answer one reader of a chunk gets.
  int read(uint32_t index) {
    uint32_t slot = ++last_slot;
    object->on_request({1, index * kStep, 4096, 0}, Ticket(kernel, slot));
    while (kernel.answers[slot].empty()) {
      loop->after_ms(1, [this](int32_t) { loop->stop(); });
      REQUIRE(loop->run());
    }
    REQUIRE(kernel.answers[slot].size() == 1);
    return kernel.answers[slot][0];
  }
  Buffer written(uint32_t index) const {
    Buffer bytes(kSize);
    os::UniqueFd file(open(data_path().c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(os::pread_exact(file.get(), index * kStep, bytes, "data"));
    return bytes;
  }

  const Corruption& corruption;
  Compressor compressor;
  StoredBlob blob, other;
  std::atomic<uint32_t> chunk = 0;
  std::atomic<unsigned> lies_left = 0;
  uint32_t last_slot = 0;
  Scratch scratch;
  std::unique_ptr<Loop> loop = std::move(*Loop::create(16));
  DecodePool pool{*loop, 2};
  FetchMemory memory{1 << 20};
  ObjectCounters counters;
  StorageCounters storage_counters;
  std::vector<bool> watched;
  FakeKernel kernel;
  FakeOrigin origin{[this](const FakeRequest& request) { return answer(request); }};
  std::shared_ptr<BlobObject> object;
};

void check_chunk(World& world, uint32_t chunk) {
  INFO(std::string(world.corruption.name)
       << ", " << std::string(to_string(world.compressor)) << ", chunk " << chunk);
  size_t before = world.origin.requests().size();
  world.chunk = chunk;
  world.lies_left = 1;
  int answer = world.read(chunk);
  CHECK(world.lies_left == 0);
  CHECK(answer == (world.corruption.mended ? 0 : EIO));
  // What proved wrong is not asked again by the same request.
  CHECK(world.origin.requests().size() == before + (world.corruption.mended ? 2 : 1));
  if (answer != 0) {
    CHECK(world.object->present_chunks() == chunk);
    CHECK(world.written(chunk) == Buffer(kSize, 0));
    CHECK(world.read(chunk) == 0);
  }
  CHECK(world.object->present_chunks() == chunk + 1);
  CHECK((world.written(chunk) == world.blob.raw[chunk]));
}

}  // namespace

TEST_CASE("corruptions: each is EIO or mended, nothing wrong is kept, the next good answer is taken") {
  REQUIRE(corruptions().size() == 16);
  for (const Corruption& corruption : corruptions())
    for (Compressor compressor : {Compressor::none, Compressor::zstd, Compressor::lz4_block}) {
      World world(corruption, compressor);
      for (uint32_t chunk = 0; chunk < kChunks; chunk++) check_chunk(world, chunk);
      CHECK(world.memory.used() == 0);
    }
}
