#include "fscached/storage/curl_loop.h"

#include <poll.h>

#include "fscached/limits.h"

namespace fscached {
namespace {

uint32_t events_of(int what) {
  return ((what & CURL_POLL_IN) != 0 ? POLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0u);
}

int curl_mask_of(int32_t mask) {
  if (mask < 0) return CURL_CSELECT_ERR;
  return ((mask & (POLLIN | POLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
         ((mask & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
         ((mask & (POLLERR | POLLNVAL)) != 0 ? CURL_CSELECT_ERR : 0);
}

}  // namespace

Result<std::unique_ptr<CurlLoop>> CurlLoop::create(Loop& loop) {
  // Once a process; not thread-safe before 7.84, and done here on the loop's only thread.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* multi = ready == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) return make_error(Code::internal, "libcurl: cannot be initialised");
  std::unique_ptr<CurlLoop> self(new CurlLoop(loop, multi));
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, self.get());
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, self.get());
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, kMaxConnectionsPerOrigin);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 2 * kMaxConnectionsPerOrigin);
  return self;
}

CurlLoop::~CurlLoop() {
  alive_.reset();
  for (CURL* easy : idle_) curl_easy_cleanup(easy);
  curl_multi_cleanup(multi_);  // closes connections, so that on_socket() takes the last polls away
  for (auto& [fd, watch] : watches_) loop_.cancel(watch.poll);
  loop_.cancel(timer_);
}

CURL* CurlLoop::acquire() {
  if (idle_.empty()) return curl_easy_init();
  CURL* easy = idle_.back();
  idle_.pop_back();
  return easy;
}

void CurlLoop::release(CURL* easy) {
  if (idle_.size() >= kIdleTransfers) return curl_easy_cleanup(easy);
  curl_easy_reset(easy);
  idle_.push_back(easy);
}

Result<void> CurlLoop::start(CURL* easy, Done done) {
  running_[easy] = std::move(done);
  CURLMcode code = curl_multi_add_handle(multi_, easy);
  if (code == CURLM_OK) return {};
  running_.erase(easy);
  return make_error(Code::internal, std::string("libcurl: ") + curl_multi_strerror(code));
}

void CurlLoop::stop(CURL* easy) {
  if (running_.erase(easy) != 0) curl_multi_remove_handle(multi_, easy);
}

int CurlLoop::on_socket(CURL*, curl_socket_t fd, int what, void* self_pointer, void*) {
  auto* self = static_cast<CurlLoop*>(self_pointer);
  Watch& watch = self->watches_[fd];
  uint32_t events = what == CURL_POLL_REMOVE ? 0 : events_of(what);
  if (events == watch.events && events != 0) return 0;
  self->loop_.cancel(watch.poll);
  watch = {events, 0};
  if (events == 0) {
    self->watches_.erase(fd);
  } else {
    self->arm(fd);
  }
  return 0;
}

// libcurl does not read until EAGAIN, so the level-triggered poll it is.
void CurlLoop::arm(curl_socket_t fd) {
  Watch& watch = watches_[fd];
  watch.poll = loop_.poll_once(fd, watch.events, [this, fd](int32_t mask) { ready(fd, mask); });
}

void CurlLoop::ready(curl_socket_t fd, int32_t mask) {
  watches_[fd].poll = 0;
  std::weak_ptr<bool> alive = alive_;
  act(fd, curl_mask_of(mask));
  if (alive.expired()) return;
  auto watch = watches_.find(fd);
  if (watch != watches_.end() && watch->second.poll == 0) arm(fd);
}

int CurlLoop::on_timer(CURLM*, long timeout_ms, void* self_pointer) {
  auto* self = static_cast<CurlLoop*>(self_pointer);
  self->loop_.cancel(self->timer_);
  self->timer_ = 0;
  if (timeout_ms < 0) return 0;
  self->timer_ = self->loop_.after_ms(static_cast<uint64_t>(timeout_ms), [self](int32_t) {
    self->timer_ = 0;
    self->act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void CurlLoop::act(curl_socket_t fd, int mask) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, mask, &running);
  take_finished();
}

// One at a time: a callback may stop others that have finished too, or end this object.
void CurlLoop::take_finished() {
  std::weak_ptr<bool> alive = alive_;
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    CURLcode code = message->data.result;
    auto found = running_.find(easy);
    if (found == running_.end()) continue;
    Done done = std::move(found->second);
    running_.erase(found);
    curl_multi_remove_handle(multi_, easy);
    done(code);
    if (alive.expired()) return;
  }
}

}  // namespace fscached
