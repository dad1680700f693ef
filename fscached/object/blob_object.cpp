#include "fscached/object/blob_object.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/limits.h"

namespace fscached {

BlobObject::BlobObject(ObjectEnvironment environment, AttachedFile attached,
                       std::shared_ptr<const BlobLayout> layout)
    : environment_(environment),
      id_(attached.id),
      file_(std::move(attached.file)),
      presence_path_(std::move(attached.presence_path)),
      layout_(std::move(layout)),
      states_(layout_->digests().size(), State::absent),
      watched_(attached.watched) {
  recount();
  if (attached.presence) believe(*attached.presence);
  clean_on_disk_ = attached.presence && attached.presence->clean;
}

// --- knowledge ---------------------------------------------------------------

void BlobObject::recount() {
  present_ = present_bytes_ = known_bytes_ = 0;
  for (uint32_t i : layout_->known()) {
    uint64_t size = layout_->chunk(i).uncompressed_size;
    known_bytes_ += size;
    if (states_[i] != State::present) continue;
    present_++;
    present_bytes_ += size;
  }
}

void BlobObject::believe(const Presence& presence) {
  if (presence.file_size != layout_->file_size()) return;
  for (const PresenceEntry& entry : presence.chunks) {
    if (!layout_->knows(entry.chunk)) {
      remembered_[entry.chunk] = entry.digest;
    } else if (entry.digest == layout_->digest(entry.chunk)) {
      states_[entry.chunk] = presence.clean ? State::present : State::unverified;
    }
  }
  recount();
  record_all_ = !presence.extendable;
  // From now on a crash must make every claim doubtful.
  dirty_ = presence.clean;
}

Result<void> BlobObject::learn(const BlobLayout& other) {
  TRY_ASSIGN(layout_, BlobLayout::merge(*layout_, other));
  states_.resize(layout_->digests().size(), State::absent);
  for (uint32_t i : layout_->known()) {
    auto remembered = remembered_.find(i);
    if (remembered == remembered_.end()) continue;
    if (remembered->second == layout_->digest(i)) states_[i] = State::unverified;
    remembered_.erase(remembered);
  }
  record_all_ = true;
  recount();
  return {};
}

void BlobObject::add_source(std::shared_ptr<Storage> source) {
  if (std::find(sources_.begin(), sources_.end(), source) == sources_.end())
    sources_.push_back(std::move(source));
}

Error BlobObject::name(uint32_t chunk, Error error) const {
  return std::move(error).within(fmt::format("blob {}: chunk {} at byte {}", blob_id(), chunk,
                                             stored_range(layout_->table(), chunk).offset));
}

// A chunk with a hole is absent whatever was believed; one that is there and nobody spoke of was written
// by a worker that died: its digest decides.
void BlobObject::on_kept(Extent range, const std::vector<Extent>& data) {
  bool lost = false;
  for (uint32_t chunk : layout_->chunks_in(range.offset, range.size)) {
    if (states_[chunk] == State::busy) continue;
    const ChunkSpan& span = layout_->chunk(chunk);
    uint64_t start = std::max(span.uncompressed_offset, range.offset);
    uint64_t end = std::min(span.uncompressed_offset + padded_size(span), range.offset + range.size);
    bool kept = std::any_of(data.begin(), data.end(), [&](const Extent& extent) {
      return extent.offset <= start && end <= extent.offset + extent.size;
    });
    lost = lost || (!kept && states_[chunk] == State::present);
    if (!kept)
      states_[chunk] = State::absent;
    else if (states_[chunk] == State::absent && end - start == padded_size(span))
      states_[chunk] = State::unverified;
  }
  // Every read of cachefiles comes here first: counting goes through all chunks.
  if (lost) recount();
}

Result<void> BlobObject::read_chunk(uint32_t chunk, MutableBytes into) const {
  if (!layout_->knows(chunk) || states_[chunk] != State::present)
    return name(chunk, make_error(Code::internal, "is not present"));
  size_t size = std::min<size_t>(into.size(), layout_->chunk(chunk).uncompressed_size);
  auto read = file_->read(layout_->chunk(chunk).uncompressed_offset, into.first(size));
  if (!read) return name(chunk, std::move(read).error());
  return {};
}

// --- requests ------------------------------------------------------------------

void BlobObject::on_request(const KernelRequest& request, Ticket ticket) {
  environment_.counters.requests++;
  std::span<const uint32_t> chunks = layout_->chunks_in(request.offset, request.count);
  auto missing = [this](uint32_t chunk) { return states_[chunk] != State::present; };
  auto first = std::find_if(chunks.begin(), chunks.end(), missing);
  if (first == chunks.end()) {
    environment_.counters.hits++;
    return ticket.allow();
  }
  std::vector<uint32_t> wanted;
  std::copy_if(first, chunks.end(), std::back_inserter(wanted), missing);
  auto held = std::make_shared<Ticket>(std::move(ticket));
  want_now(wanted, [held](const Result<void>& result) { result ? held->allow() : held->fail(); });
}

void BlobObject::make_present(uint32_t chunk, Finished finished) {
  if (!layout_->knows(chunk)) return finished(name(chunk, make_error(Code::internal, "no image knows it")));
  if (states_[chunk] == State::present) return finished({});
  want_now({chunk}, std::move(finished));
}

void BlobObject::want_now(const std::vector<uint32_t>& chunks, Finished finished) {
  auto waiter = want(chunks, std::move(finished));
  give_up_later(waiter, chunks[0]);
  start_missing(chunks, Urgency::reader);
}

std::shared_ptr<BlobObject::Waiter> BlobObject::want(const std::vector<uint32_t>& chunks, Finished finished) {
  auto waiter = std::make_shared<Waiter>();
  waiter->finished = std::move(finished);
  waiter->remaining = chunks.size();
  for (uint32_t chunk : chunks) waiters_[chunk].push_back(waiter);
  return waiter;
}

// Whatever it waits for: the fetch goes on, for others and the next read.
void BlobObject::give_up_later(const std::shared_ptr<Waiter>& waiter, uint32_t chunk) {
  auto self = shared_from_this();
  uint64_t patience = environment_.request_timeout_ms;
  waiter->deadline = environment_.loop.after_ms(patience, [self, waiter, chunk, patience](int32_t) {
    waiter->deadline = 0;
    Error error = make_error(Code::timeout, fmt::format("still not there after {} ms", patience));
    error = self->name(chunk, std::move(error));
    log_line(LogLevel::error, "object", error.message);
    self->environment_.counters.timeouts++;
    self->finish(*waiter, std::move(error));
  });
}

void BlobObject::finish(Waiter& waiter, Result<void> result) {
  environment_.loop.cancel(waiter.deadline);
  // Taken out: one that gave up still counts down, and tells nobody.
  if (Finished finished = std::exchange(waiter.finished, nullptr)) finished(std::move(result));
}

void BlobObject::start_missing(const std::vector<uint32_t>& chunks, Urgency urgency) {
  std::vector<uint32_t> to_fetch;
  auto take = [&](uint32_t chunk) {
    if (states_[chunk] != State::absent) return;
    states_[chunk] = State::busy;
    to_fetch.push_back(chunk);
  };
  for (uint32_t chunk : chunks) {
    if (states_[chunk] == State::unverified) {
      verify(chunk, urgency);
      continue;
    }
    take(chunk);
    // A batch comes whole: keep all of it.
    const ChunkSpan& span = layout_->chunk(chunk);
    if (span.in_batch)
      for (uint32_t member : layout_->batch_members(span.batch)) take(member);
  }
  fetch(std::move(to_fetch), urgency, 0);
}

// --- verification of what is there --------------------------------------------------

bool BlobObject::recheck(uint32_t chunk, Rechecked done) {
  if (states_[chunk] != State::present && states_[chunk] != State::unverified) return false;
  const ChunkSpan& span = layout_->chunk(chunk);
  if (states_[chunk] == State::present) {
    present_--;
    present_bytes_ -= span.uncompressed_size;
  }
  auto wrong = std::make_shared<bool>(false);
  want({chunk}, [wrong, done = std::move(done)](Result<void> now) { done(*wrong, std::move(now)); });
  file_->drop_cached({span.uncompressed_offset, padded_size(span)});
  verify(chunk, Urgency::background, [wrong] { *wrong = true; });
  return true;
}

void BlobObject::verify(uint32_t chunk, Urgency urgency, const std::function<void()>& on_wrong) {
  states_[chunk] = State::busy;
  auto self = shared_from_this();
  auto layout = layout_;
  uint64_t cost = padded_size(layout->chunk(chunk));
  environment_.memory.acquire(nullptr, cost, urgency, [self, layout, chunk, cost, urgency, on_wrong] {
    auto work = [self, layout, chunk](DecodePool::Context&) -> Result<void> {
      Buffer pages(padded_size(layout->chunk(chunk)));
      TRY(self->file_->read(layout->chunk(chunk).uncompressed_offset, pages));
      return layout->verify_pages(chunk, pages);
    };
    auto done = [self, chunk, cost, urgency, on_wrong](Result<void> result) {
      self->environment_.memory.release(nullptr, cost);
      if (result) {
        self->environment_.counters.chunks_rehashed++;
        fault_point(50);
        return self->chunk_present(chunk);
      }
      log_line(LogLevel::warn, "object",
               self->name(chunk, std::move(result).error()).message + " (in the cache): fetched again");
      if (on_wrong) on_wrong();
      self->doubt(chunk);
      self->fetch({chunk}, urgency, 0);
    };
    self->environment_.pool.run<Result<void>>(work, done);
  });
}

// --- fetching ------------------------------------------------------------------------

// Neighbours in the blob become one range. Every chunk here is busy.
void BlobObject::fetch(std::vector<uint32_t> chunks, Urgency urgency, size_t source_index) {
  const ChunkTable& table = layout_->table();
  auto range = [&](uint32_t chunk) { return stored_range(table, chunk); };
  std::sort(chunks.begin(), chunks.end(),
            [&](uint32_t a, uint32_t b) { return range(a).offset < range(b).offset; });
  std::shared_ptr<Fetch> joined;
  for (uint32_t chunk : chunks) {
    StoredRange wanted = range(chunk);
    uint64_t wanted_end = wanted.offset + wanted.size;
    bool joins = joined && wanted.offset <= joined->offset + joined->size + kMaxJoinedGap &&
                 wanted_end <= joined->offset + kMaxJoinedBytes &&
                 joined->cost + padded_size(layout_->chunk(chunk)) <= kMaxJoinedRawBytes;
    if (!joins) {
      if (joined) start_fetch(joined, urgency);
      joined = std::make_shared<Fetch>();
      joined->layout = layout_;
      joined->source_index = source_index;
      joined->offset = wanted.offset;
    }
    joined->chunks.push_back(chunk);
    joined->cost += padded_size(layout_->chunk(chunk));
    joined->size = std::max(joined->size, wanted_end - joined->offset);
  }
  if (joined) start_fetch(joined, urgency);
}

void BlobObject::start_fetch(const std::shared_ptr<Fetch>& fetch, Urgency urgency) {
  auto self = shared_from_this();
  fetch->cost += fetch->size;
  fetch->remaining = fetch->chunks.size();
  if (fetch->source_index < sources_.size()) fetch->source = sources_[fetch->source_index];
  environment_.memory.acquire(fetch->source.get(), fetch->cost, urgency, [self, fetch] {
    if (!fetch->source)
      return self->fetched(fetch, make_error(Code::not_found, "no image that uses the blob is mounted"));
    fetch->stored.resize(fetch->size);
    self->environment_.counters.fetches++;
    fault_point(40);
    fetch->source->read(self->blob_id(), fetch->offset, fetch->stored,
                        [self, fetch](Result<void> result) { self->fetched(fetch, std::move(result)); });
  });
}

void BlobObject::fetched(const std::shared_ptr<Fetch>& fetch, Result<void> result) {
  if (result) {
    environment_.counters.fetched_bytes += fetch->stored.size();
    fault_point(41);
    return decode_all(fetch);
  }
  environment_.counters.fetch_errors++;
  for (uint32_t chunk : fetch->chunks) settle(fetch, chunk, Error(result.error()));
}

void BlobObject::decode_all(const std::shared_ptr<Fetch>& fetch) {
  // One job for each chunk, one for all members of a batch.
  std::map<std::pair<bool, uint32_t>, std::vector<uint32_t>> jobs;
  for (uint32_t chunk : fetch->chunks) {
    const ChunkSpan& span = fetch->layout->chunk(chunk);
    jobs[{span.in_batch, span.in_batch ? span.batch : chunk}].push_back(chunk);
  }
  auto self = shared_from_this();
  for (auto& [key, chunks] : jobs) {
    auto work = [fetch, chunks = chunks](DecodePool::Context& context) {
      return decode(*fetch, chunks, context);
    };
    auto done = [self, fetch](std::vector<Decoded> results) { self->decoded(fetch, std::move(results)); };
    environment_.pool.run<std::vector<Decoded>>(work, done);
  }
}

// On a decoding thread. Nothing but the fetch and its layout is touched.
std::vector<BlobObject::Decoded> BlobObject::decode(const Fetch& fetch, const std::vector<uint32_t>& chunks,
                                                    DecodePool::Context& context) {
  const BlobLayout& layout = *fetch.layout;
  std::vector<Decoded> results;
  Buffer batch;
  Result<void> batch_result = {};
  const ChunkSpan& first = layout.chunk(chunks[0]);
  StoredRange range = stored_range(layout.table(), chunks[0]);
  ByteView stored = ByteView(fetch.stored).subspan(range.offset - fetch.offset, range.size);
  if (first.in_batch) {
    batch.resize(layout.table().batches[first.batch].uncompressed_size);
    batch_result = decode_batch(layout.blob(), layout.table(), first.batch, stored, context.decoder,
                                context.scratch, batch);
  }
  for (uint32_t chunk : chunks) {
    const ChunkSpan& span = layout.chunk(chunk);
    Pages raw(padded_size(span));
    MutableBytes bytes = raw.bytes().first(span.uncompressed_size);
    Result<void> result = {};
    if (!span.in_batch) {
      result = decode_chunk(layout.blob(), layout.table(), chunk, stored, layout.digest(chunk),
                            context.decoder, context.scratch, bytes);
    } else if (!batch_result) {
      result = Error(batch_result.error());
    } else {
      std::memcpy(bytes.data(), batch.data() + span.offset_in_batch, bytes.size());
      result = verify_chunk(layout.blob(), layout.digest(chunk), bytes);
    }
    if (result) {
      results.push_back({chunk, std::move(raw)});
    } else {
      results.push_back({chunk, std::move(result).error()});
    }
  }
  return results;
}

void BlobObject::decoded(const std::shared_ptr<Fetch>& fetch, std::vector<Decoded> results) {
  for (Decoded& one : results) {
    if (one.raw) {
      fault_point(42);
      write(fetch, one.chunk, std::make_shared<Pages>(std::move(*one.raw)), 0);
      continue;
    }
    environment_.counters.chunks_refused++;
    settle(fetch, one.chunk, std::move(one.raw).error().within(fetch->source->describe()));
  }
}

// A short write goes on at the page where it ended.
void BlobObject::write(const std::shared_ptr<Fetch>& fetch, uint32_t chunk, const std::shared_ptr<Pages>& raw,
                       size_t done) {
  if (done == raw->size()) {
    environment_.counters.chunks_written++;
    fault_point(43);
    unsynced_.push_back(chunk);
    return settle(fetch, chunk, {});
  }
  auto self = shared_from_this();
  if (clean_on_disk_)
    return unclean([self, fetch, chunk, raw, done](Result<void> result) {
      result ? self->write(fetch, chunk, raw, done) : self->settle(fetch, chunk, std::move(result));
    });
  uint64_t offset = fetch->layout->chunk(chunk).uncompressed_offset + done;
  ByteView rest = std::as_const(*raw).bytes().subspan(done);
  file_->write(offset, rest, [self, fetch, chunk, raw, done](int32_t result) {
    if (result == -EINTR || result == -EAGAIN)
      result = 0;
    else if (result <= 0)
      return self->settle(fetch, chunk, errno_error("cache file", result ? -result : ENOSPC));
    self->write(fetch, chunk, raw, done + align_down(static_cast<size_t>(result), kPageSize));
  });
}

// The end of one chunk of a fetch; the next source has its chance before a reader sees an error.
void BlobObject::settle(const std::shared_ptr<Fetch>& fetch, uint32_t chunk, Result<void> result) {
  if (--fetch->remaining == 0) environment_.memory.release(fetch->source.get(), fetch->cost);
  if (result) return chunk_present(chunk);
  if (fetch->source && fetch->source_index + 1 < sources_.size()) {
    log_line(LogLevel::warn, "object",
             name(chunk, std::move(result).error()).message + ": trying another source");
    return this->fetch({chunk}, Urgency::reader, fetch->source_index + 1);
  }
  chunk_failed(chunk, std::move(result).error());
}

// --- outcomes ----------------------------------------------------------------------------

void BlobObject::chunk_present(uint32_t chunk) {
  states_[chunk] = State::present;
  present_++;
  present_bytes_ += layout_->chunk(chunk).uncompressed_size;
  dirty_ = true;
  unrecorded_.push_back(chunk);
  fault_point(44);
  release_waiters(chunk, nullptr);
  if (is_complete()) settle_watch();
}

// Nothing is marked: the next read tries again.
void BlobObject::chunk_failed(uint32_t chunk, Error error) {
  states_[chunk] = State::absent;
  error = name(chunk, std::move(error));
  log_line(LogLevel::error, "object", error.message);
  release_waiters(chunk, &error);
}

void BlobObject::release_waiters(uint32_t chunk, const Error* error) {
  auto found = waiters_.find(chunk);
  if (found == waiters_.end()) return;
  auto waiters = std::move(found->second);
  waiters_.erase(found);
  for (auto& waiter : waiters) {
    if (error && !waiter->error) waiter->error = *error;
    if (--waiter->remaining > 0) continue;
    finish(*waiter, waiter->error ? Result<void>(*waiter->error) : Result<void>());
  }
}

// Until what proved wrong is there again, its readers must ask.
void BlobObject::doubt(uint32_t chunk) {
  const ChunkSpan& span = layout_->chunk(chunk);
  file_->discard({span.uncompressed_offset, padded_size(span)});
  if (watched_) return;
  watched_ = true;
  file_->set_watched(true);
}

// A complete blob needs no questions: its presence is made durable, then they end.
void BlobObject::settle_watch() {
  if (!is_complete() || !watched_) return;
  auto self = shared_from_this();
  save(false, [self](Result<void> saved) {
    if (!saved) return log_line(LogLevel::warn, "object", saved.error().message);
    if (!self->is_complete() || !self->watched_) return;
    self->watched_ = false;
    fault_point(45);
    self->file_->set_watched(false);
    fault_point(46);
  });
}

// --- completion -----------------------------------------------------------------------------

void BlobObject::complete(uint64_t bytes_per_second, Finished finished) {
  auto completion = std::make_shared<Completion>();
  completion->bytes_per_second = bytes_per_second;
  completion->finished = std::move(finished);
  complete_next(completion);
}

void BlobObject::complete_next(const std::shared_ptr<Completion>& completion) {
  std::vector<uint32_t> chunks;
  uint64_t bytes = 0;
  for (uint32_t chunk : layout_->known()) {
    if (states_[chunk] == State::present) continue;
    uint64_t size = layout_->chunk(chunk).uncompressed_size;
    if (!chunks.empty() && bytes + size > kMaxJoinedBytes) break;
    chunks.push_back(chunk);
    bytes += size;
  }
  if (chunks.empty()) return completion->finished({});
  uint64_t rate = completion->bytes_per_second;
  uint64_t pause_ms = rate ? bytes * 1000 / rate : 0;
  auto self = shared_from_this();
  want(chunks, [self, completion, pause_ms](Result<void> result) {
    if (!result) return completion->finished(std::move(result));
    self->environment_.loop.after_ms(pause_ms,
                                     [self, completion](int32_t) { self->complete_next(completion); });
  });
  start_missing(chunks, Urgency::background);
}

// --- durability -------------------------------------------------------------------------------

bool BlobObject::claims(uint32_t chunk) const {
  return states_[chunk] == State::present || states_[chunk] == State::unverified;
}

Presence BlobObject::all_claims(bool clean) const {
  Presence presence;
  presence.file_size = layout_->file_size();
  presence.clean = clean && remembered_.empty();
  for (uint32_t i : layout_->known()) {
    if (claims(i)) presence.chunks.push_back({i, layout_->digest(i)});
    if (states_[i] == State::unverified) presence.clean = false;
  }
  for (auto& [chunk, digest] : remembered_) presence.chunks.push_back({chunk, digest});
  return presence;
}

// What is to be written, taken down now: before the data is synced, so that every claim is about synced data.
BlobObject::Recording BlobObject::next_recording(bool clean) {
  std::vector<PresenceEntry> entries;
  for (uint32_t chunk : std::exchange(unrecorded_, {}))
    entries.push_back({chunk, claims(chunk) ? layout_->digest(chunk) : Digest{}});
  extended_ += entries.size();
  const std::string& path = presence_path_;
  if (clean || record_all_ || extended_ > present_ + kPresenceSlack) {
    extended_ = 0;
    record_all_ = false;
    auto presence = all_claims(clean);
    return {presence.clean,
            [path, presence = std::move(presence)] { return write_presence(path, presence); }};
  }
  if (entries.empty() && !clean_on_disk_) return {false, [] { return Result<void>(); }};
  return {false, [path, entries = std::move(entries)] { return extend_presence(path, entries); }};
}

void BlobObject::save(bool clean, Finished finished) {
  if (saving_) {
    waiting_saves_.emplace_back(clean, std::move(finished));
    return;
  }
  saving_ = true;
  dirty_ = false;
  auto self = shared_from_this();
  Recording recording = next_recording(clean);
  fault_point(47);
  auto syncing = std::make_shared<std::vector<uint32_t>>(std::exchange(unsynced_, {}));
  file_->sync(
      [self, recording = std::move(recording), syncing, finished = std::move(finished)](int32_t result) {
        if (result < 0) {
          self->forget(*syncing);
          return self->saved(errno_error("cache file of blob " + self->blob_id(), -result), finished);
        }
        fault_point(48);
        auto write = [recording](DecodePool::Context&) { return recording.write(); };
        self->environment_.pool.run<Result<void>>(write, [self, recording, finished](Result<void> written) {
          fault_point(49);
          if (written) self->clean_on_disk_ = recording.clean;
          self->saved(std::move(written), finished);
        });
      });
}

void BlobObject::begin() {
  if (!clean_on_disk_) return;
  unclean([](const Result<void>& result) {
    if (!result) log_line(LogLevel::warn, "object", result.error().message);
  });
}

void BlobObject::unclean(Finished finished) {
  to_unclean_.push_back(std::move(finished));
  if (to_unclean_.size() > 1) return;
  save(false, [self = shared_from_this()](const Result<void>& result) {
    for (Finished& waiting : std::exchange(self->to_unclean_, {})) waiting(result);
  });
}

// After a failed sync the kernel takes the pages for written: they are right as long as they stay in memory,
// and nobody would try again to write them. Fetched again, they are.
void BlobObject::forget(const std::vector<uint32_t>& chunks) {
  for (uint32_t chunk : chunks) {
    if (states_[chunk] != State::present) continue;
    states_[chunk] = State::absent;
    doubt(chunk);
  }
  recount();
}

void BlobObject::saved(Result<void> result, const Finished& finished) {
  saving_ = false;
  if (!result) dirty_ = record_all_ = true;
  finished(std::move(result));
  if (waiting_saves_.empty() || saving_) return;
  auto [clean, next] = std::move(waiting_saves_.front());
  waiting_saves_.erase(waiting_saves_.begin());
  save(clean, std::move(next));
}

}  // namespace fscached
