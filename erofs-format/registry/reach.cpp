#include "erofs-format/registry/reach.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace erofs_format::registry {
namespace {

bool has_prefix(const in6_addr& address, std::initializer_list<uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), address.s6_addr);
}

Reach embedded(const in6_addr& address, size_t at) {
  in_addr inner = {};
  std::memcpy(&inner, address.s6_addr + at, sizeof inner);
  return reach_of(inner);
}

}  // namespace

const char* to_string(Reach reach) {
  switch (reach) {
    case Reach::network: return "network";
    case Reach::loopback: return "loopback";
    case Reach::link_local: return "link-local";
  }
  return "?";
}

Reach reach_of(const in_addr& address) {
  uint32_t bits = ntohl(address.s_addr);
  uint32_t first = bits >> 24;
  // 0.0.0.0/8: Linux connects "this host" to loopback.
  if (first == 127 || first == 0) return Reach::loopback;
  // Multicast and broadcast are of the link as well.
  if (bits >> 16 == 0xa9fe || first >= 224) return Reach::link_local;
  return Reach::network;
}

Reach reach_of(const in6_addr& address) {
  constexpr size_t kLast4 = 12;
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address)) return Reach::loopback;
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address)) return embedded(address, kLast4);
  if (has_prefix(address, {0x00, 0x64, 0xff, 0x9b})) return embedded(address, kLast4);
  if (has_prefix(address, {0x20, 0x02})) return embedded(address, 2);
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address)) return Reach::link_local;
  // fd00:ec2::/32, where a cloud puts the IPv6 form of its 169.254 services.
  if (has_prefix(address, {0xfd, 0x00, 0x0e, 0xc2})) return Reach::link_local;
  return Reach::network;
}

std::optional<Reach> reach_of(std::string_view host) {
  std::string text(host.substr(0, host.find('%')));
  if (text.ends_with('.')) text.pop_back();
  if (text == "localhost" || text.ends_with(".localhost")) return Reach::loopback;
  in_addr v4 = {};
  in6_addr v6 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return reach_of(v4);
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return reach_of(v6);
  return std::nullopt;
}

}  // namespace erofs_format::registry
