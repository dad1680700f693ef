// Every limit of talking to servers, by name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace erofs_format::registry {

inline constexpr size_t kMaxResponseHeadBytes = 64 << 10;
inline constexpr size_t kMaxResponseHeaders = 128;
inline constexpr size_t kMaxErrorBodyBytes = 64 << 10;  // drained to keep a connection, then dropped
inline constexpr size_t kMaxDocumentBytes = 4 << 20;    // a manifest or an index
inline constexpr size_t kMaxTokenBytes = 64 << 10;      // a token service's whole answer
inline constexpr uint64_t kHelperTimeoutMs = 30'000;    // of docker-credential-NAME
inline constexpr size_t kMaxHelperAnswerBytes = 128 << 10;
inline constexpr unsigned kMaxRedirects = 5;
inline constexpr unsigned kMaxTokensPerRead = 2;
inline constexpr unsigned kMaxAttempts = 4;  // of one call, the first included
inline constexpr uint64_t kBackoffMaxMs = 5'000;
inline constexpr uint64_t kMaxRetryAfterMs = 30'000;
inline constexpr size_t kPullBytes = 4 << 20;  // of one range, when a whole blob is read
inline constexpr size_t kPullAhead = 3;
inline constexpr uint64_t kMinUploadSpeed =
    64 << 10;                                    // bytes a second, on which the deadline of an upload counts
inline constexpr uint64_t kUploadPatience = 20;  // so many times the patience of a read
inline constexpr long kMaxConnectionsPerOrigin = 8;
inline constexpr long kMinBytesPerSecond = 1024;           // slower is a stall
inline constexpr size_t kReceiveBufferBytes = 128 << 10;   // of each connection
inline constexpr size_t kIdleTransfers = 16;               // kept for their buffers
inline constexpr uint64_t kRedirectMemoryMs = 5 * 60'000;  // how long a redirect's target is used again
inline constexpr size_t kMaxRedirectMemory = 1024;         // blobs

}  // namespace erofs_format::registry
