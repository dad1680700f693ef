#include "fscached/tests/simulation/simulated_storage.h"

#include <algorithm>
#include <utility>

namespace fscached {

namespace {

constexpr uint64_t kSlowMs = 50;  // from here on it may be the reason why somebody waited too long

}  // namespace

void SimulatedStorage::lie(Deed& deed, size_t blob) {
  Buffer& bytes = deed.bytes;
  const Buffer& stored = blobs_[blob].stored;
  size_t at = choices_.below(bytes.size());
  auto from = [&](size_t offset) { return bytes.begin() + static_cast<ptrdiff_t>(offset); };
  switch (choices_.below(8)) {
    case 0:  // one bit: only the chunk it lies in is wrong
      bytes[at] ^= static_cast<uint8_t>(1 << choices_.below(8));
      deed.fault.from += at;
      deed.fault.to = deed.fault.from + 1;
      break;
    case 1: std::fill(from(at), bytes.end(), uint8_t{0}); break;                // truncated
    case 2: std::fill(bytes.begin(), bytes.end(), uint8_t{0}); break;           // nothing but zeros
    case 3: std::rotate(bytes.begin(), bytes.begin() + 1, bytes.end()); break;  // shifted
    case 4: std::swap(bytes[at], bytes[choices_.below(bytes.size())]); break;
    case 5: std::copy_n(bytes.begin(), bytes.size() / 2, from(bytes.size() - bytes.size() / 2)); break;
    case 6:  // somewhere else in the blob
      for (size_t i = 0, other = choices_.below(stored.size()); i < bytes.size(); i++)
        bytes[i] = stored[(other + i) % stored.size()];
      break;
    default:  // another version
      for (size_t i = at; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(bytes[i] * 7 + 1);
  }
}

SimulatedStorage::Deed SimulatedStorage::decide(size_t blob, uint64_t offset, size_t size) {
  Deed deed;
  auto begin = blobs_[blob].stored.begin() + static_cast<ptrdiff_t>(offset);
  deed.bytes.assign(begin, begin + static_cast<ptrdiff_t>(size));
  deed.fault = {blob, index_, offset, offset + size, loop_.now_ns(), UINT64_MAX, false};
  deed.fails = habits_.gone;
  if (habits_.honest || habits_.gone) return deed;
  deed.delay_ms = choices_.below(choices_.one_in(10) ? 1000 : 20);
  deed.is_fault = choices_.one_in(habits_.one_fault_in);
  if (deed.is_fault) {
    switch (choices_.below(4)) {
      case 0: deed.fails = true; break;
      case 1:
        deed.delay_ms += choices_.below(habits_.stall_ms);
        deed.fails = choices_.one_in(2);
        break;
      default: lie(deed, blob);
    }
  }
  return deed;
}

Storage::FetchId SimulatedStorage::read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                                        Done done) {
  size_t blob = 0;
  while (blobs_[blob].id() != blob_id) blob++;
  under_way_++;
  Deed deed = decide(blob, offset, into.size());
  // Whatever else it is: while it lasts, others may wait for it.
  Fault slow = deed.fault;
  slow.slow = true;
  bool is_slow = deed.delay_ms >= kSlowMs;
  size_t slow_index = is_slow ? faults_.add(slow) : 0;
  auto answer = [this, deed, into, is_slow, slow_index, done = std::move(done)](int32_t) {
    under_way_--;
    uint64_t now = loop_.now_ns();
    if (is_slow) faults_[slow_index].ended = now;
    if (deed.is_fault) faults_[faults_.add(deed.fault)].ended = now;
    if (deed.fails) return done(make_error(Code::network, "simulated: refused"));
    std::copy(deed.bytes.begin(), deed.bytes.end(), into.begin());
    done({});
  };
  loop_.after_ms(deed.delay_ms, std::move(answer));
  return ++last_;
}

void SimulatedStorage::size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) {
  for (const SimulatedBlob& blob : blobs_)
    if (blob.id() == blob_id) return done(blob.stored.size());
  done(make_error(Code::not_found, "simulated: no such blob"));
}

}  // namespace fscached
