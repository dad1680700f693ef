#include "erofs-format/registry/transport.h"

#include <string>

#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {

Result<CURLM*> Transport::make_multi() {
  // Once a process; not thread-safe before 7.84, and done by the first thread that asks.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* multi = ready == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) return make_error(Code::internal, "libcurl: cannot be initialised");
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, kMaxConnectionsPerOrigin);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 2 * kMaxConnectionsPerOrigin);
  return multi;
}

Transport::~Transport() { close(); }

void Transport::close() {
  if (multi_ == nullptr) return;
  alive_.reset();
  for (CURL* easy : idle_) curl_easy_cleanup(easy);
  idle_.clear();
  curl_multi_cleanup(multi_);
  multi_ = nullptr;
}

CURL* Transport::acquire() {
  if (idle_.empty()) return curl_easy_init();
  CURL* easy = idle_.back();
  idle_.pop_back();
  return easy;
}

void Transport::release(CURL* easy) {
  if (idle_.size() >= kIdleTransfers) return curl_easy_cleanup(easy);
  curl_easy_reset(easy);
  idle_.push_back(easy);
}

Result<void> Transport::start(CURL* easy, Done done) {
  running_[easy] = std::move(done);
  CURLMcode code = curl_multi_add_handle(multi_, easy);
  if (code == CURLM_OK) return {};
  running_.erase(easy);
  return make_error(Code::internal, std::string("libcurl: ") + curl_multi_strerror(code));
}

void Transport::stop(CURL* easy) {
  if (running_.erase(easy) != 0) curl_multi_remove_handle(multi_, easy);
}

// One at a time: a callback may stop others that have finished too, or end this object.
bool Transport::take_finished() {
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
    if (alive.expired()) return false;
  }
  return true;
}

}  // namespace erofs_format::registry
