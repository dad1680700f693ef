// Every limit of fscached, by name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fscached {

// --- event loop ---
inline constexpr unsigned kMaxLoopSlots = 4096;
inline constexpr unsigned kLoopRingEntries = 256;       // submissions handed over at once
inline constexpr size_t kMaxIoBytes = 1u << 30;         // one read or write
inline constexpr uint64_t kMaxTimerMs = 1'000'000'000;  // some 11 days

// --- fetching (what holds for every HTTP request: erofs-format/registry/limits.h) ---

// --- kernel events ---
inline constexpr size_t kMaxPendingEvents = 4096;   // read and not answered; further ones stay in the kernel
inline constexpr size_t kEventBufferBytes = 4096;   // some 85 events a read
inline constexpr unsigned kReadsPerWakeUp = 64;     // of events, before other work has its turn
inline constexpr uint64_t kLookAgainNs = 50'000;    // for the next event, after an answer and before sleep
inline constexpr size_t kMaxOrphanCandidates = 64;  // objects an event of unknown object is served for
inline constexpr uint32_t kMaxPendingReads =
    16384;  // of cachefiles, as kMaxPendingEvents; opening waits behind them
inline constexpr uint64_t kMaxDescriptors = 1 << 16;  // of keeper and worker each
inline constexpr uint64_t kOwnDescriptors = 256;      // of the worker, besides one for each pending event

// --- keeper ---
inline constexpr char kCachefilesFolder[] = "cachefiles";  // below the root: the kernel's
inline constexpr size_t kKeeperHeapBytes = 4 << 20;        // taken when it begins: for some 600 images
inline constexpr size_t kKeeperStackBytes = 256 << 10;
inline constexpr size_t kMaxPath = 4096;
inline constexpr size_t kMaxFsconfigString = 255;
inline constexpr uint32_t kMaxMounts = 4096;      // images mounted or added
inline constexpr uint32_t kMaxDataFiles = 16384;  // blobs they use, with fanotify
inline constexpr size_t kCanaryBytes = 4096;
inline constexpr int kMountTimeoutMs = 90'000;
inline constexpr int kKeeperTickMs = 1'000;         // how often it looks for superblocks the kernel let go
inline constexpr int kReplacementWaitMs = 10'000;   // a new worker takes over what a hanging one held up
inline constexpr int kTryProgramMs = 10'000;        // what is to take our place says that it can
inline constexpr int kHandOverMs = 10'000;          // of the worker to answer commands and save what it has
inline constexpr uint64_t kLastCommandsMs = 2'000;  // of these the commands, which are cut off then
inline constexpr int kOldWorkerWaitMs = 30'000;     // for one that outlived its keeper, killed
inline constexpr int kReleaseWaitMs = 1'000;        // the kernel ends a superblock soon after the unmount
inline constexpr uint64_t kRestartDelayFirstMs = 50;
inline constexpr uint64_t kRestartDelayMaxMs = 5'000;
inline constexpr uint64_t kWorkerStopTimeoutMs = 30'000;

// --- objects ---
inline constexpr uint64_t kMaxJoinedBytes = 4 << 20;      // of neighbouring chunks asked for at once
inline constexpr uint64_t kMaxJoinedRawBytes = 16 << 20;  // of their chunks
inline constexpr uint64_t kMaxJoinedGap = 16 << 10;       // bytes fetched in vain to join two chunks
inline constexpr uint64_t kDefaultFetchMemory = 64 << 20;
inline constexpr uint64_t kMinFetchMemory = 8 << 20;
inline constexpr uint64_t kSaveIntervalMs = 10'000;  // of presence, when something changed
inline constexpr uint64_t kMaxChunkTableBytes = 256 << 20;
// Tables go by chunk index: what an image uses costs it bytes of its bootstrap, what it leaves out
// of a dictionary's blob costs only us, some 120 bytes each.
inline constexpr uint32_t kMaxUnusedChunks = 1 << 21;
inline constexpr uint32_t kMaxBlobChunks = 1 << 24;  // the format's own
inline constexpr uint64_t kMaxPresenceBytes = uint64_t{2} << 30;
inline constexpr size_t kPresenceRecordEntries = 4096;  // of one record
inline constexpr size_t kPresenceSlack = 4096;          // entries too many that are not worth a new file
inline constexpr size_t kMaxDecodeThreads = 64;

// --- control ---
inline constexpr size_t kMaxControlLine = 64 << 10;
inline constexpr unsigned kMaxControlConnections = 64;
inline constexpr uint64_t kMaxConfigBytes = 1 << 20;
inline constexpr uint64_t kMaxMountRecordBytes = 64 << 10;

// --- nydusd's API (personality/) ---
inline constexpr size_t kMaxApiHeadBytes = 16 << 10;
inline constexpr size_t kMaxApiBodyBytes = 1 << 20;
inline constexpr char kPersonalityRoot[] =
    "fscached";  // of our daemon, below the cache folder of the settings

}  // namespace fscached
