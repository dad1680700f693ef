// A blob of a few chunks, and a storage that has it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "fscached/object/blob_layout.h"
#include "fscached/storage/storage.h"

namespace fscached {

inline constexpr uint32_t kChunks = 8, kSize = 6000, kStep = 8192;

// Answers when told to; until then reads wait.
class FakeStorage final : public Storage {
 public:
  FakeStorage(Loop& loop, Buffer blob) : loop_(loop), blob_(std::move(blob)) {}
  FetchId read(const std::string&, uint64_t offset, std::span<uint8_t> into, Done done) override {
    reads.emplace_back(offset, into.size());
    auto answer = [this, offset, into, done] {
      if (fails) return done(make_error(Code::network, "fake: refused"));
      std::copy_n(blob_.begin() + static_cast<ptrdiff_t>(offset), into.size(), into.begin());
      if (lies) into[into.size() / 2] ^= 1;
      done({});
    };
    if (held)
      waiting.push_back(answer);
    else
      loop_.post(answer);
    return reads.size();
  }
  void cancel(FetchId) override {}
  void size(const std::string&, std::function<void(Result<uint64_t>)> done) override { done(blob_.size()); }
  std::string describe() const override { return "fake"; }
  void let_go() {
    held = false;
    for (auto& answer : waiting) loop_.post(answer);
    waiting.clear();
  }
  std::vector<std::pair<uint64_t, uint64_t>> reads;
  std::deque<std::function<void()>> waiting;
  bool lies = false, fails = false, held = false;

 private:
  Loop& loop_;
  Buffer blob_;
};

inline Buffer content() {
  Buffer bytes(kChunks * kSize);
  uint32_t state = 1;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

inline ByteView chunk_of(const Buffer& blob, uint32_t i) { return ByteView(blob).subspan(i * kSize, kSize); }

inline Blob some_blob() {
  Blob blob;
  blob.id = std::string(64, 'a');
  blob.uncompressed_size = kChunks * kStep;
  return blob;
}

// `known`: bit i = the image uses chunk i. `count`: its table ends there.
inline Result<std::shared_ptr<const BlobLayout>> layout_of(const Buffer& blob, uint32_t known = 0xff,
                                                           uint32_t count = kChunks) {
  ChunkTable table;
  std::vector<Digest> digests(count);
  for (uint32_t i = 0; i < count; i++) {
    ChunkSpan span;
    span.uncompressed_offset = i * kStep;
    span.compressed_offset = i * kSize;
    span.uncompressed_size = span.compressed_size = kSize;
    table.chunks.push_back(span);
    if (known >> i & 1) digests[i] = digest_of(Digester::blake3, chunk_of(blob, i));
  }
  return BlobLayout::create(some_blob(), std::move(table), std::move(digests));
}

}  // namespace fscached
