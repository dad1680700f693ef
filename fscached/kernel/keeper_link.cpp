#include "fscached/kernel/keeper_link.h"

#include <fcntl.h>
#include <poll.h>

namespace fscached {

using keeper::Message;
using keeper::Op;
using keeper::Received;

Result<KeeperLink::Introduction> KeeperLink::introduction() {
  Introduction introduction;
  for (;;) {
    TRY_ASSIGN(Received received, keeper::receive_message(socket_));
    switch (received.message.op) {
      case Op::restored_file: introduction.files.push_back(std::move(received)); break;
      case Op::restored_mount: introduction.mounts.push_back(std::move(received)); break;
      case Op::restored_end: introduction.last_mount = received.message.id; return introduction;
      default: return make_error(Code::internal, "keeper: unexpected message before the end of its list");
    }
  }
}

void KeeperLink::start(Loop& loop, std::function<void(const Message&)> notice, std::function<void()> lost) {
  loop_ = &loop;
  notice_ = std::move(notice);
  lost_ = std::move(lost);
  receive();
}

void KeeperLink::receive() {
  for (;;) {
    pollfd ready = {socket_, POLLIN, 0};
    if (::poll(&ready, 1, 0) == 0) break;
    auto received = keeper::receive_message(socket_);
    if (!received) {
      lost_keeper_ = true;
      auto replies = std::move(replies_);
      for (auto& [request, reply] : replies) reply(Error(received.error()));
      return lost_();
    }
    if (received->message.op != Op::reply) {
      notice_(received->message);
      continue;
    }
    auto found = replies_.find(received->message.request);
    if (found == replies_.end()) continue;
    Reply reply = std::move(found->second);
    replies_.erase(found);
    const Message& message = received->message;
    if (message.error) {
      reply(Error{Code::io, message.error, keeper::text_of(message.path), 1});
    } else {
      reply(std::move(received));
    }
  }
  loop_->poll_once(socket_, POLLIN, [this](int32_t) { receive(); });
}

void KeeperLink::call(Message message, Reply reply) {
  if (lost_keeper_) return reply(make_error(Code::cancelled, "the keeper is gone"));
  message.request = ++last_request_;
  auto sent = keeper::send_message(socket_, message);
  if (!sent) return reply(std::move(sent).error());
  replies_.emplace(message.request, std::move(reply));
}

void KeeperLink::tell(const Message& message) {
  // When it fails the keeper is gone, which receive() finds.
  [[maybe_unused]] auto sent = keeper::send_message(socket_, message);
}

}  // namespace fscached
