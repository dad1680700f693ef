// The worker's end of the socket to the keeper. On the loop thread.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "fscached/keeper/wire.h"
#include "fscached/loop.h"

namespace fscached {

class KeeperLink {
 public:
  using Reply = std::function<void(Result<keeper::Received>)>;
  struct Introduction {
    std::vector<keeper::Received> files;
    std::vector<keeper::Received> mounts;
    uint32_t last_mount = 0;
  };

  explicit KeeperLink(int socket) : socket_(socket) {}
  // What the keeper says first; blocks.
  Result<Introduction> introduction();
  // `notice` gets what is not a reply; `lost` runs when the keeper is gone.
  void start(Loop& loop, std::function<void(const keeper::Message&)> notice, std::function<void()> lost);
  void call(keeper::Message message, Reply reply);
  void tell(const keeper::Message& message);

 private:
  void receive();
  int socket_;
  Loop* loop_ = nullptr;
  uint32_t last_request_ = 0;
  bool lost_keeper_ = false;
  std::map<uint32_t, Reply> replies_;
  std::function<void(const keeper::Message&)> notice_;
  std::function<void()> lost_;
};

}  // namespace fscached
