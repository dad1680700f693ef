#include "fscached/storage/curl_loop.h"

#include <poll.h>

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
  TRY_ASSIGN(CURLM * multi, make_multi());
  std::unique_ptr<CurlLoop> self(new CurlLoop(loop, multi));
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, self.get());
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, self.get());
  return self;
}

CurlLoop::~CurlLoop() {
  close();  // so that on_socket() takes the last polls away
  for (auto& [fd, watch] : watches_) loop_.cancel(watch.poll);
  loop_.cancel(timer_);
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
  if (!act(fd, curl_mask_of(mask))) return;
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

// False: a transfer's end was the end of this object.
bool CurlLoop::act(curl_socket_t fd, int mask) {
  int running = 0;
  curl_multi_socket_action(multi(), fd, mask, &running);
  return take_finished();
}

}  // namespace fscached
