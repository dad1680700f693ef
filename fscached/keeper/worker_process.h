// Starts the worker: a fresh image of this program with a few descriptors at fixed
// numbers, a user of its own and no capability. Events read later get higher numbers, so that a successor can
// reserve the number of any unanswered one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "fscached/keeper/cache_owner.h"

namespace fscached::keeper {

using namespace erofs_format;

enum WorkerFd : int {
  kWorkerSocket = 3,    // to the keeper
  kWorkerKernel = 4,    // fanotify group or cachefiles device
  kWorkerJournal = 5,   // journal.h; only with fanotify
  kWorkerListener = 6,  // control socket
  kWorkerRoot = 7,      // the root directory
  kWorkerFirstFree = 8,
};

// First word of the worker's command line, after the program's name; nobody types it.
constexpr char kWorkerCommand[] = "--worker";

struct WorkerDescriptors {
  int socket = -1;
  int kernel = -1;
  int journal = -1;  // -1 = none
  int listener = -1;
  int root = -1;
};
// It begins when the first message for it is in the socket, and ends when there will be none. `command`: what
// it is to be; another process without power (personality/) is started in the same way.
Result<pid_t> start_worker(const WorkerDescriptors& descriptors, const WorkerUser& user,
                           const std::vector<std::string>& arguments, const char* command = kWorkerCommand);

}  // namespace fscached::keeper
