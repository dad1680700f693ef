// Keeps what a backend hands out.
#pragma once

#include <utility>
#include <vector>

#include "fscached/kernel/kernel_backend.h"

namespace fscached {

struct Recorder final : KernelSink {
  void on_kept(ObjectId, Extent, const std::vector<Extent>&) override {}
  void on_released(ObjectId) override {}
  void on_request(const KernelRequest& request, Ticket ticket) override {
    requests.push_back(request);
    tickets.push_back(std::move(ticket));
  }
  std::vector<KernelRequest> requests;
  std::vector<Ticket> tickets;
};

}  // namespace fscached
