#include "fscached/tests/simulation/simulated_blob.h"

#include <algorithm>

#include "erofs-format/base/codec.h"
#include "fscached/kernel/cache_file.h"

namespace fscached {

namespace {

// Bytes nobody can guess, half of them compressible.
Buffer random_bytes(Choices& choices, size_t size) {
  Buffer bytes(size);
  uint32_t state = static_cast<uint32_t>(choices.below(1 << 30)) | 1;
  bool plain = choices.one_in(2);
  for (uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24);
    if (plain) byte &= 3;
  }
  return bytes;
}

struct Writer {
  SimulatedBlob blob;
  ChunkTable table;
  std::vector<Digest> digests;
  Encoder encoder = std::move(*Encoder::create(Compressor::zstd, 1));
  Buffer room;

  ByteView pack(ByteView raw) {
    auto packed = encoder.compress(raw, room);
    return packed && !packed->empty() ? *packed : raw;
  }
  // Bytes into the image and into the table, at a place of their own.
  ChunkSpan place(ByteView raw, bool known) {
    ChunkSpan span;
    span.uncompressed_offset = blob.image.size();
    span.uncompressed_size = static_cast<uint32_t>(raw.size());
    span.compressed_offset = blob.stored.size();
    blob.image.resize(blob.image.size() + padded_size(span));
    if (known)
      std::copy(raw.begin(), raw.end(),
                blob.image.begin() + static_cast<ptrdiff_t>(span.uncompressed_offset));
    digests.push_back(known ? digest_of(Digester::blake3, raw) : Digest{});
    return span;
  }
  void add_chunk(const Buffer& raw, bool known) {
    ChunkSpan span = place(raw, known);
    ByteView packed = pack(raw);
    span.compressed_size = static_cast<uint32_t>(packed.size());
    span.compressed = packed.size() < raw.size();
    table.chunks.push_back(span);
    append(blob.stored, packed);
  }
  void add_batch(const Buffer& raw, size_t members) {
    Batch batch;
    batch.compressed_offset = blob.stored.size();
    for (size_t i = 0; i < members; i++) {
      size_t size = raw.size() / members;
      ChunkSpan span = place(ByteView(raw).subspan(i * size, size), true);
      span.in_batch = true;
      span.batch = static_cast<uint32_t>(table.batches.size());
      span.offset_in_batch = static_cast<uint32_t>(i * size);
      table.chunks.push_back(span);
    }
    ByteView packed = pack(raw);
    batch.compressed_size = static_cast<uint32_t>(packed.size());
    batch.uncompressed_size = static_cast<uint32_t>(raw.size());
    table.batches.push_back(batch);
    append(blob.stored, packed);
  }
};

}  // namespace

SimulatedBlob make_blob(Choices& choices, char letter, bool gaps) {
  Writer writer;
  size_t count = choices.between(1, 32);
  while (writer.table.chunks.size() < count) {
    size_t pages = choices.one_in(20) ? 16 : 3;
    size_t size = choices.between(1, pages * kPageSize);
    if (choices.one_in(8)) {
      size_t members = choices.between(2, 4);
      writer.add_batch(random_bytes(choices, members * choices.between(1, 6000)), members);
    } else {
      bool known = !(gaps && choices.one_in(10));
      writer.add_chunk(random_bytes(choices, size), known);
    }
    // What the builder left between two chunks.
    if (choices.one_in(10)) writer.blob.stored.resize(writer.blob.stored.size() + choices.below(5000));
  }
  Blob blob;
  blob.id = std::string(64, letter);
  blob.compressor = Compressor::zstd;
  blob.uncompressed_size = writer.blob.image.size();
  writer.blob.layout =
      std::move(*BlobLayout::create(blob, std::move(writer.table), std::move(writer.digests)));
  return std::move(writer.blob);
}

}  // namespace fscached
