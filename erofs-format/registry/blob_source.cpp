#include "erofs-format/registry/blob_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "erofs-format/image/descriptor.h"
#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/requests.h"

namespace erofs_format::registry {
namespace {

class BlobSource final : public ByteSource {
 public:
  BlobSource(RepositoryClient& client, const Digest& digest, uint64_t size, uint64_t offset)
      : client_(client), digest_(digest), size_(size), asked_(offset) {}
  BlobSource(const BlobSource&) = delete;
  BlobSource& operator=(const BlobSource&) = delete;
  // Waits until nobody writes into the pieces any more.
  ~BlobSource() override {
    for (auto& piece : pieces_) client_.cancel(piece->call);
    for (auto& piece : pieces_) piece->outcome.wait();
  }

  Result<size_t> read(MutableBytes into) override {
    TRY(ask_ahead());
    if (pieces_.empty() || into.empty()) return size_t{0};
    Piece& piece = *pieces_.front();
    TRY(arrived(piece));
    size_t bytes = std::min(into.size(), piece.bytes.size() - taken_);
    std::copy_n(piece.bytes.begin() + static_cast<ptrdiff_t>(taken_), bytes, into.begin());
    taken_ += bytes;
    if (taken_ == piece.bytes.size()) {
      pieces_.pop_front();
      taken_ = 0;
    }
    return bytes;
  }

 private:
  using Outcome = Result<std::optional<uint64_t>>;  // the blob's size, when it was told
  struct Piece {
    Buffer bytes;
    RepositoryClient::CallId call = 0;
    std::shared_future<Outcome> outcome;
  };

  Result<void> ask_ahead() {
    while (asked_ < size_ && pieces_.size() < kPullAhead) {
      auto piece = std::make_unique<Piece>();
      piece->bytes.resize(std::min<uint64_t>(kPullBytes, size_ - asked_));
      CallTarget target;
      TRY_ASSIGN(target.url, blob_url(client_.repository().base, digest_));
      target.blob_id = to_hex(digest_);
      target.offset = asked_;
      target.into = piece->bytes;
      auto promise = std::make_shared<std::promise<Outcome>>();
      piece->outcome = promise->get_future().share();
      piece->call =
          client_.start(std::move(target), [promise](Result<RepositoryClient::Answer> answer, bool) {
            promise->set_value(answer ? Outcome(answer->total) : Outcome(std::move(answer).error()));
          });
      asked_ += piece->bytes.size();
      pieces_.push_back(std::move(piece));
    }
    return {};
  }

  Result<void> arrived(const Piece& piece) const {
    const Outcome& outcome = piece.outcome.get();
    if (!outcome) return outcome.error();
    if (!*outcome || **outcome == size_) return {};
    return make_error(Code::digest_mismatch, fmt::format("{}: the server has {} bytes, not {}",
                                                         digest_text(digest_), **outcome, size_));
  }

  RepositoryClient& client_;
  const Digest digest_;
  const uint64_t size_;
  uint64_t asked_;    // of the blob, up to here
  size_t taken_ = 0;  // of the first piece
  std::deque<std::unique_ptr<Piece>> pieces_;
};

}  // namespace

std::unique_ptr<ByteSource> make_blob_source(RepositoryClient& client, const Digest& digest, uint64_t size,
                                             uint64_t offset) {
  return std::make_unique<BlobSource>(client, digest, size, offset);
}

}  // namespace erofs_format::registry
