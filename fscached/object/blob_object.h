// One blob in the cache: which chunks are there, who waits for which, and how missing
// ones come. All on the loop thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fscached/kernel/kernel_backend.h"
#include "fscached/object/blob_layout.h"
#include "fscached/object/decode_pool.h"
#include "fscached/object/fetch_memory.h"
#include "fscached/object/pages.h"
#include "fscached/object/presence.h"
#include "fscached/storage/storage.h"

namespace fscached {

struct ObjectCounters {
  uint64_t requests = 0;         // kernel requests
  uint64_t hits = 0;             // answered at once
  uint64_t fetches = 0;          // ranges asked of storages
  uint64_t fetched_bytes = 0;    // stored bytes that came
  uint64_t chunks_written = 0;   // verified and published
  uint64_t chunks_rehashed = 0;  // found right in the cache after an unclean stop
  uint64_t chunks_refused = 0;   // what came was not the chunk
  uint64_t fetch_errors = 0;     // ranges that did not come
  uint64_t timeouts = 0;         // kernel requests that got EIO at their deadline
};

struct ObjectEnvironment {
  Loop& loop;
  DecodePool& pool;
  FetchMemory& memory;
  ObjectCounters& counters;
  uint64_t request_timeout_ms;  // after which a reader gets EIO
};

class BlobObject : public std::enable_shared_from_this<BlobObject> {
 public:
  using Finished = std::function<void(Result<void>)>;

  // What `attached` says of earlier contents counts where digests agree.
  BlobObject(ObjectEnvironment environment, AttachedFile attached, std::shared_ptr<const BlobLayout> layout);

  ObjectId id() const { return id_; }
  const std::string& blob_id() const { return layout_->blob().id; }
  const std::string& presence_path() const { return presence_path_; }
  const BlobLayout& layout() const { return *layout_; }
  // Another image's knowledge of the same blob.
  Result<void> learn(const BlobLayout& other);
  // What the disk calls clean is trusted by the next start: no longer, from the moment it is in use.
  void begin();
  // Sources are tried in the order they came.
  void add_source(std::shared_ptr<Storage> source);
  // A new mount makes the kernel ask again.
  void set_watched() { watched_ = true; }
  // The kernel need not ask any more when everything is present.
  void settle_watch();
  // Within `range` the kernel has data in `data` and nowhere else.
  void on_kept(Extent range, const std::vector<Extent>& data);

  void on_request(const KernelRequest& request, Ticket ticket);
  // The same for one chunk, when nobody but us asks.
  void make_present(uint32_t chunk, Finished finished);
  // Hashes a chunk that is there once more, from the disk. One that proves wrong is fetched again; `done`
  // learns of that, and of the error when it could not be. False, and no `done`: it is not there, or under
  // way.
  using Rechecked = std::function<void(bool was_wrong, Result<void> now)>;
  bool recheck(uint32_t chunk, Rechecked done);
  // Makes everything known of it present. `bytes_per_second` 0 = no limit.
  void complete(uint64_t bytes_per_second, Finished finished);

  bool is_complete() const { return present_ == layout_->known().size(); }
  uint64_t known_chunks() const { return layout_->known().size(); }
  uint64_t present_chunks() const { return present_; }
  uint64_t known_bytes() const { return known_bytes_; }
  uint64_t present_bytes() const { return present_bytes_; }
  // The first bytes of a chunk that is present; what lies behind its end in `into` is 0.
  Result<void> read_chunk(uint32_t chunk, MutableBytes into) const;

  // Records what is present after the data is on the disk. Only what is clean is exact; otherwise it may
  // speak of a chunk that is not there any more.
  void save(bool clean, Finished finished);
  bool needs_save() const { return dirty_; }

 private:
  enum class State : uint8_t { absent, unverified, present, busy };
  struct Waiter {
    Finished finished;
    size_t remaining = 0;
    std::optional<Error> error;
    Loop::Id deadline = 0;
  };
  struct Fetch {
    std::vector<uint32_t> chunks;
    std::shared_ptr<const BlobLayout> layout;
    std::shared_ptr<Storage> source;
    size_t source_index = 0;
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t cost = 0;  // bytes of memory, stored and raw
    Buffer stored;
    size_t remaining = 0;  // chunks not settled
  };
  struct Decoded {
    uint32_t chunk = 0;
    Result<Pages> raw;
  };
  // What the journal is to say, for another thread.
  struct Recording {
    bool clean = false;
    std::function<Result<void>()> write;
  };
  struct Completion {
    uint64_t bytes_per_second = 0;
    Finished finished;
  };

  void want_now(const std::vector<uint32_t>& chunks, Finished finished);
  std::shared_ptr<Waiter> want(const std::vector<uint32_t>& chunks, Finished finished);
  void give_up_later(const std::shared_ptr<Waiter>& waiter, uint32_t chunk);
  void finish(Waiter& waiter, Result<void> result);
  void start_missing(const std::vector<uint32_t>& chunks, Urgency urgency);
  void verify(uint32_t chunk, Urgency urgency, const std::function<void()>& on_wrong = {});
  void fetch(std::vector<uint32_t> chunks, Urgency urgency, size_t source_index);
  void start_fetch(const std::shared_ptr<Fetch>& fetch, Urgency urgency);
  void fetched(const std::shared_ptr<Fetch>& fetch, Result<void> result);
  void decode_all(const std::shared_ptr<Fetch>& fetch);
  void decoded(const std::shared_ptr<Fetch>& fetch, std::vector<Decoded> results);
  void write(const std::shared_ptr<Fetch>& fetch, uint32_t chunk, const std::shared_ptr<Pages>& raw,
             size_t done);
  void settle(const std::shared_ptr<Fetch>& fetch, uint32_t chunk, Result<void> result);
  void chunk_present(uint32_t chunk);
  void doubt(uint32_t chunk);
  void chunk_failed(uint32_t chunk, Error error);
  void release_waiters(uint32_t chunk, const Error* error);
  bool claims(uint32_t chunk) const;
  Presence all_claims(bool clean) const;
  Recording next_recording(bool clean);
  void forget(const std::vector<uint32_t>& chunks);
  void unclean(Finished finished);
  void saved(Result<void> result, const Finished& finished);
  void complete_next(const std::shared_ptr<Completion>& completion);
  void recount();
  void believe(const Presence& presence);
  Error name(uint32_t chunk, Error error) const;
  static std::vector<Decoded> decode(const Fetch& fetch, const std::vector<uint32_t>& chunks,
                                     DecodePool::Context& context);

  ObjectEnvironment environment_;
  ObjectId id_;
  std::shared_ptr<CacheFile> file_;
  std::string presence_path_;
  std::shared_ptr<const BlobLayout> layout_;
  std::vector<State> states_;              // by chunk index
  std::vector<uint32_t> unsynced_;         // chunks written since the last sync began
  std::vector<uint32_t> unrecorded_;       // chunks that came to be present since the last save began
  bool record_all_ = true;                 // the journal cannot be extended
  size_t extended_ = 0;                    // entries added since it was written whole
  std::map<uint32_t, Digest> remembered_;  // of present chunks no mounted image knows
  std::map<uint32_t, std::vector<std::shared_ptr<Waiter>>> waiters_;
  std::vector<std::shared_ptr<Storage>> sources_;
  uint64_t present_ = 0;
  uint64_t present_bytes_ = 0;
  uint64_t known_bytes_ = 0;
  bool watched_ = true;
  bool dirty_ = false;
  bool saving_ = false;
  bool clean_on_disk_ = false;        // as far as it was published
  std::vector<Finished> to_unclean_;  // what waits for that to end
  std::vector<std::pair<bool, Finished>> waiting_saves_;
};

}  // namespace fscached
