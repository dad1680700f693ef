// What the operator says about talking to servers, and what is counted while doing so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace erofs_format::registry {

struct HttpOptions {
  std::string user_agent;                // the program's name
  std::string ca_file;                   // trusted besides the system's authorities
  uint64_t connect_timeout_ms = 10'000;  // name, connection and TLS handshake
  uint64_t stall_timeout_s = 15;         // so long slower than kMinBytesPerSecond
  uint64_t read_timeout_ms = 60'000;     // one call with all its repetitions
  uint64_t backoff_first_ms = 100;       // doubled with each repetition
};

// What holds for one server only, and is shown to no other, whoever sends us there.
struct OriginOptions {
  std::string ca_file;               // instead of HttpOptions::ca_file; empty: that
  std::string certificate, key;      // PEM files with which we prove who we are; empty: we do not
  std::vector<std::string> headers;  // "NAME: VALUE"
  std::string ns;                    // of a mirror: the registry that is meant, sent as ?ns=
};

struct TransferCounters {
  uint64_t requests = 0;  // sent to servers: redirects, tokens and repetitions included; local reads
  uint64_t bytes = 0;     // of blobs
  uint64_t failures = 0;  // reads that ended in an error
};

}  // namespace erofs_format::registry
