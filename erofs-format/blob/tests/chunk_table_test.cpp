#include "erofs-format/blob/chunk_table.h"

#include <doctest/doctest.h>

#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/blob/toc.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/tests/fixture.h"
#include "erofs-format/ondisk/rafs.h"

using namespace erofs_format;
using namespace erofs_format::ondisk;
using erofs_format::testing::read_fixture;

namespace {

constexpr char kTocBoot[] = "v2.2-toc/image.boot";
constexpr char kTocBlob[] = "v2.2-toc/be7d77eeb719f70884758d1aa800ed0fb09d701aaec469964e9d54325f0d5fef";

struct TocImage {
  Tree tree;
  Buffer blob;
  ByteView information() const {
    ChunkTableLocation location = chunk_table_location(tree.blobs[0]);
    return ByteView(blob).subspan(location.offset, location.size);
  }
};

TocImage toc_image() {
  auto tree = read_bootstrap(read_fixture(kTocBoot), "toc");
  REQUIRE(tree);
  return {std::move(*tree), read_fixture(kTocBlob)};
}

// A blob whose information is the entries and header given, stored raw.
struct Made {
  Blob blob;
  Buffer bytes;
};

template <typename T>
void append(Buffer& out, const T& object) {
  ByteView bytes = bytes_of(object);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

Made make_v2(const std::vector<chunk_info_v2>& entries, const std::vector<batch_context>& batches) {
  Made made;
  for (const auto& entry : entries) append(made.bytes, entry);
  for (const auto& batch : batches) append(made.bytes, batch);
  Blob& blob = made.blob;
  blob.id = "made";
  blob.chunk_size = 1 << 20;
  blob.chunk_count = static_cast<uint32_t>(entries.size());
  blob.features = kBlobCapTarToc | kBlobAligned | kBlobChunkInfoV2 | (batches.empty() ? 0u : kBlobBatch);
  blob.ci_offset = 100000;
  blob.ci_compressed_size = blob.ci_uncompressed_size = made.bytes.size();
  blob.uncompressed_size = 1 << 20;
  blob_meta_header header = {};
  header.magic = header.magic2 = kBlobMetaMagic;
  header.features = blob.features;
  header.ci_entries = blob.chunk_count;
  header.ci_offset = blob.ci_offset;
  header.ci_compressed_size = header.ci_uncompressed_size = blob.ci_compressed_size;
  header.context_offset = entries.size() * sizeof(chunk_info_v2);
  header.context_size = batches.size() * sizeof(batch_context);
  header.context_count = static_cast<uint32_t>(batches.size());
  append(made.bytes, header);
  return made;
}

chunk_info_v2 entry_v2(uint64_t block, uint32_t size, uint8_t flags, uint64_t offset, uint64_t stored,
                       uint64_t data) {
  chunk_info_v2 entry;
  entry.uncompressed = block | uint64_t{size - 1} << 32 | uint64_t{flags} << 56;
  entry.compressed = offset | stored << 40;
  entry.data = data;
  return entry;
}

batch_context batch_of(uint32_t compressed, uint32_t uncompressed) {
  batch_context context = {};
  context.compressed_size = compressed;
  context.uncompressed_size = uncompressed;
  return context;
}

zran_context checkpoint_of(uint64_t in, uint32_t in_size, uint32_t out_size, uint64_t dictionary,
                           uint32_t size) {
  zran_context context = {};
  context.in_offset = in;
  context.in_len = in_size;
  context.out_len = out_size;
  context.dict_offset = dictionary;
  context.dict_size = size;
  return context;
}

constexpr uint8_t kZranChunk = kInfoV2Compressed | kInfoV2Zran;

// Two chunks that share the second of two checkpoints, and 100 bytes of dictionaries.
Made make_zran(const std::vector<chunk_info_v2>& entries, const std::vector<zran_context>& checkpoints) {
  Made made = make_v2(entries, {});
  auto header = *struct_at<blob_meta_header>(made.bytes, made.bytes.size() - sizeof(blob_meta_header));
  made.bytes.resize(made.bytes.size() - sizeof(blob_meta_header));
  for (const auto& checkpoint : checkpoints) append(made.bytes, checkpoint);
  made.bytes.resize(made.bytes.size() + 100, 7);
  Blob& blob = made.blob;
  blob.features |= kBlobZran | kBlobSeparate;
  blob.compressed_size = 5000;
  blob.ci_compressed_size = blob.ci_uncompressed_size = made.bytes.size();
  header.ci_compressed_size = header.ci_uncompressed_size = blob.ci_compressed_size;
  header.context_size = checkpoints.size() * sizeof(zran_context) + 100;
  header.context_count = static_cast<uint32_t>(checkpoints.size());
  append(made.bytes, header);
  return made;
}

void expect_corrupt(const Made& made, const char* expected) {
  auto table = parse_chunk_table(made.blob, made.bytes);
  REQUIRE_FALSE(table);
  INFO(table.error().message);
  CHECK(table.error().code == Code::corrupt);
  CHECK(table.error().message.find(expected) != std::string::npos);
}

}  // namespace

TEST_CASE("chunk table: checkpoints of a gzip stream are batches with a dictionary") {
  Made made = make_zran({entry_v2(0, 10, kZranChunk, 3, 0, uint64_t{1} << 32 | 5),
                         entry_v2(5, 4096, kZranChunk, 9, 77, uint64_t{1} << 32 | 904)},
                        {checkpoint_of(10, 40, 600, 0, 0), checkpoint_of(4000, 1000, 5000, 60, 40)});
  auto table = parse_chunk_table(made.blob, made.bytes);
  REQUIRE(table);
  CHECK(stored_range(*table, 0).offset == 4000);
  CHECK(stored_range(*table, 1).size == 1000);
  CHECK(table->chunks[1].offset_in_batch == 904);
  CHECK(table->dictionary(table->checkpoints[1]).size() == 40);
}

TEST_CASE("chunk table: what is wrong with a checkpoint is named") {
  auto one = [](const zran_context& checkpoint, uint64_t data = 5, uint8_t flags = kZranChunk) {
    return make_zran({entry_v2(0, 10, flags, 3, 0, data)}, {checkpoint});
  };
  expect_corrupt(one(checkpoint_of(10, 40, 0, 0, 0)), "sizes are not 1 to");
  expect_corrupt(one(checkpoint_of(10, kMaxZranPart + 1, 50, 0, 0)), "sizes are not 1 to");
  expect_corrupt(one(checkpoint_of(10, 40, kMaxZranPart + 1, 0, 0)), "sizes are not 1 to");
  expect_corrupt(one(checkpoint_of(4990, 11, 600, 0, 0)), "lies outside the gzip stream");
  expect_corrupt(one(checkpoint_of(UINT64_MAX - 5, 11, 600, 0, 0)), "lies outside the gzip stream");
  expect_corrupt(one(checkpoint_of(10, 40, 600, 61, 40)), "dictionary lies outside");
  expect_corrupt(one(checkpoint_of(10, 40, 600, UINT64_MAX, 2)), "dictionary lies outside");
  zran_context bits = checkpoint_of(10, 40, 600, 0, 0);
  bits.ctx_bits = 8;
  expect_corrupt(one(bits), "more than 7 bits");
  expect_corrupt(one(checkpoint_of(10, 40, 600, 0, 0), 591), "lies outside its batch");
  expect_corrupt(one(checkpoint_of(10, 40, 600, 0, 0), uint64_t{1} << 32), "is not in the table of batches");
  expect_corrupt(one(checkpoint_of(10, 40, 600, 0, 0), 5, kInfoV2Compressed), "on zran");
  expect_corrupt(make_zran({entry_v2(0, 10, kZranChunk, 3, 0, 5)},
                           {checkpoint_of(10, 40, 600, 0, 0), checkpoint_of(10, 40, 600, 0, 0)}),
                 "more batches than chunks");
}

TEST_CASE("chunk table: the golden vectors of a v2.2 blob") {
  TocImage image = toc_image();
  auto table = parse_chunk_table(image.tree.blobs[0], image.information());
  REQUIRE(table);
  REQUIRE(table->chunks.size() == 2);
  const ChunkSpan& first = table->chunks[0];
  CHECK(first.uncompressed_offset == 0);
  CHECK(first.uncompressed_size == 16931);
  CHECK(first.compressed_offset == 0);
  CHECK(first.compressed_size == 4828);
  CHECK(first.compressed);
  const ChunkSpan& second = table->chunks[1];
  CHECK(second.uncompressed_offset == 20480);
  CHECK(second.uncompressed_size == 13400);
  CHECK(second.compressed_offset == 4828);
  CHECK(second.compressed_size == 2974);
}

TEST_CASE("chunk table: the bootstrap's own gives the same ranges") {
  TocImage image = toc_image();
  auto own = parse_chunk_table(image.tree.blobs[0], image.information());
  auto derived = chunk_table_from_bootstrap(image.tree, 0);
  REQUIRE(own);
  REQUIRE(derived);
  REQUIRE(derived->chunks.size() == own->chunks.size());
  for (uint32_t i = 0; i < own->chunks.size(); i++) {
    CHECK(stored_range(*own, i).offset == stored_range(*derived, i).offset);
    CHECK(stored_range(*own, i).size == stored_range(*derived, i).size);
    CHECK(own->chunks[i].uncompressed_offset == derived->chunks[i].uncompressed_offset);
    CHECK(own->chunks[i].compressed == derived->chunks[i].compressed);
  }
}

TEST_CASE("chunk table: each field of the header is compared with the bootstrap") {
  TocImage image = toc_image();
  constexpr size_t kFields[] = {0, 8, 12, 16, 24, 32, 4092};
  for (size_t field : kFields) {
    CAPTURE(field);
    Buffer bytes(image.information().begin(), image.information().end());
    bytes[bytes.size() - sizeof(blob_meta_header) + field] ^= 1;
    auto table = parse_chunk_table(image.tree.blobs[0], bytes);
    REQUIRE_FALSE(table);
    CHECK(table.error().code == Code::corrupt);
    CHECK(table.error().message.find("header") != std::string::npos);
  }
}

TEST_CASE("chunk table: a gap, an overlap, a size too large in v1") {
  TocImage image = toc_image();
  struct Row {
    size_t at;
    uint8_t value;
    const char* expected;
  };
  const Row rows[] = {
      {16 + 1, 0x60, "uncompressed offset"}, {16 + 1, 0x40, "uncompressed offset"}, {0, 1, "low bits"},
      {16 + 8 + 3, 0x10, "chunk data"},      {16 + 1, 0x51, "chunk_size"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.at);
    Buffer bytes(image.information().begin(), image.information().end());
    bytes[row.at] = row.value;
    auto table = parse_chunk_table(image.tree.blobs[0], bytes);
    REQUIRE_FALSE(table);
    INFO(table.error().message);
    CHECK(table.error().message.find(row.expected) != std::string::npos);
  }
}

TEST_CASE("chunk table: v2 with a batch of two and a chunk of its own") {
  uint8_t member = kInfoV2Compressed | kInfoV2Batch;
  Made made = make_v2({entry_v2(0, 100, member, 0, 0, 0), entry_v2(1, 50, member, 0, 0, 100),
                       entry_v2(2, 5000, kInfoV2Compressed | kInfoV2HasCrc32, 90, 4000, 0x1234)},
                      {batch_of(90, 150)});
  auto table = parse_chunk_table(made.blob, made.bytes);
  REQUIRE_MESSAGE(table, table.error().message);
  REQUIRE(table->batches.size() == 1);
  CHECK(stored_range(*table, 0).size == 90);
  CHECK(stored_range(*table, 1).offset == 0);
  CHECK(table->chunks[1].offset_in_batch == 100);
  CHECK(stored_range(*table, 2).offset == 90);
  CHECK(stored_range(*table, 2).size == 4000);
  CHECK(table->chunks[2].has_crc32);
  CHECK(table->chunks[2].crc32 == 0x1234);
}

TEST_CASE("chunk table: what is wrong with a batch is said") {
  uint8_t member = kInfoV2Compressed | kInfoV2Batch;
  auto two = [&](const chunk_info_v2& second, const batch_context& batch) {
    return make_v2({entry_v2(0, 100, member, 0, 0, 0), second}, {batch});
  };
  expect_corrupt(two(entry_v2(1, 51, member, 0, 0, 100), batch_of(90, 150)), "outside its batch");
  expect_corrupt(two(entry_v2(1, 50, member, 0, 0, uint64_t{1} << 32), batch_of(90, 150)),
                 "not in the table");
  expect_corrupt(two(entry_v2(1, 50, member, 7, 0, 100), batch_of(90, 150)), "not that of its batch");
  expect_corrupt(two(entry_v2(1, 50, member, 0, 9, 100), batch_of(90, 150)), "is not 0");
  expect_corrupt(two(entry_v2(1, 50, member, 0, 0, 100), batch_of(151, 150)), "sizes are wrong");
  expect_corrupt(two(entry_v2(1, 50, member, 0, 0, 100), batch_of(0, 150)), "sizes are wrong");
  expect_corrupt(two(entry_v2(1, 50, kInfoV2Encrypted, 0, 50, 0), batch_of(90, 150)), "encrypted");
  Made far = two(entry_v2(1, 50, member, 0, 0, 100), batch_of(90, 150));
  far.blob.ci_offset = 80;
  far.bytes[far.bytes.size() - sizeof(blob_meta_header) + 16] = 80;
  far.bytes[far.bytes.size() - sizeof(blob_meta_header) + 17] = 0;
  far.bytes[far.bytes.size() - sizeof(blob_meta_header) + 18] = 0;
  expect_corrupt(far, "outside the chunk data");
}

TEST_CASE("toc: entries of a v2.2 blob, and where the sections lie") {
  Buffer blob = read_fixture(kTocBlob);
  auto entries = parse_toc(blob);
  REQUIRE(entries);
  REQUIRE(entries->size() == 4);
  CHECK((*entries)[0].name == kSectionBlob);
  CHECK((*entries)[1].name == kSectionMeta);
  CHECK((*entries)[2].name == kSectionMetaHeader);
  CHECK((*entries)[3].name == kSectionDigest);
  CHECK((*entries)[1].compressed_offset == 8314);
  CHECK((*entries)[3].compressed_offset == 12954);
  CHECK((*entries)[3].compressed_size == 64);
  CHECK(to_hex(toc_digest(ByteView(blob).last(1024))) ==
        "cfc89ed0739aef4eb1bf0904f0dfdb1c857134eca7319465baae95a99b84acde");
}

TEST_CASE("toc: what is encoded is parsed, byte for byte as the reference header") {
  Buffer blob = read_fixture(kTocBlob);
  tar_header header = section_header(kSectionToc, 512);
  CHECK(std::memcmp(&header, blob.data() + blob.size() - sizeof(header), sizeof(header)) == 0);
  auto entries = parse_toc(blob);
  REQUIRE(entries);
  auto again = parse_toc(encode_toc(*entries));
  REQUIRE(again);
  REQUIRE(again->size() == entries->size());
  for (size_t i = 0; i < again->size(); i++) {
    CHECK((*again)[i].name == (*entries)[i].name);
    CHECK((*again)[i].uncompressed_digest == (*entries)[i].uncompressed_digest);
    CHECK((*again)[i].compressed_offset == (*entries)[i].compressed_offset);
  }
}

TEST_CASE("toc: sizes over eight gigabytes survive the header") {
  for (uint64_t size : {uint64_t{0}, uint64_t{077777777777}, uint64_t{0100000000000}, uint64_t{1} << 40}) {
    auto section = parse_section_header(bytes_of(section_header(kSectionBlob, size)));
    REQUIRE(section);
    CHECK(section->size == size);
    CHECK(section->name == kSectionBlob);
  }
}

TEST_CASE("toc: damage is refused") {
  const Buffer blob = read_fixture(kTocBlob);
  auto refuse = [&](size_t from_end, uint8_t value) {
    Buffer bytes = blob;
    bytes[bytes.size() - from_end] = value;
    return !parse_toc(bytes);
  };
  CHECK(refuse(512, 'x'));        // name of the section: checksum
  CHECK(refuse(512 - 130, '9'));  // size is no octal number
  CHECK(refuse(512 - 148, '7'));  // checksum
  CHECK(refuse(1024, 3));         // two compressors
  CHECK(refuse(1024 - 3, 1));     // unknown flag
  CHECK(refuse(1024 - 8, 0));     // no name
  CHECK_FALSE(parse_toc(ByteView(blob).last(512)));
  CHECK_FALSE(parse_toc({}));
}

TEST_CASE("blob reader: every chunk of a blob, and none once a byte is wrong") {
  TocImage image = toc_image();
  auto table = parse_chunk_table(image.tree.blobs[0], image.information());
  REQUIRE(table);
  Decoder decoder;
  Buffer scratch;
  for (const Chunk& chunk : image.tree.chunks) {
    StoredRange range = stored_range(*table, chunk.index);
    Buffer stored(image.blob.begin() + static_cast<long>(range.offset),
                  image.blob.begin() + static_cast<long>(range.offset + range.size));
    Buffer raw(chunk.uncompressed_size);
    CHECK(
        decode_chunk(image.tree.blobs[0], *table, chunk.index, stored, chunk.digest, decoder, scratch, raw));
    Digest other = chunk.digest;
    other.bytes[31] ^= 1;
    auto wrong = decode_chunk(image.tree.blobs[0], *table, chunk.index, stored, other, decoder, scratch, raw);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == Code::digest_mismatch);
    for (size_t at = 0; at < stored.size(); at += 97) {
      stored[at] ^= 0x55;
      CHECK_FALSE(decode_chunk(image.tree.blobs[0], *table, chunk.index, stored, chunk.digest, decoder,
                               scratch, raw));
      stored[at] ^= 0x55;
    }
  }
}

TEST_CASE("blob reader: a missing blob is named with the folders that were tried") {
  TocImage image = toc_image();
  auto reader =
      BlobReader::open(image.tree, {"mkfs/tests/fixtures/layers", "mkfs/tests/fixtures/chunk-dict"});
  REQUIRE_FALSE(reader);
  CHECK(reader.error().code == Code::not_found);
  CHECK(reader.error().message.find(image.tree.blobs[0].id) != std::string::npos);
  CHECK(reader.error().message.find("chunk-dict") != std::string::npos);
}
