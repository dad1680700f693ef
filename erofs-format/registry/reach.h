// How far away an address is. A redirect must not lead from a public server to services
// that trust everyone on this host or its link (the metadata service of a cloud, for one).
#pragma once

#include <netinet/in.h>

#include <optional>
#include <string_view>

namespace erofs_format::registry {

enum class Reach { network, loopback, link_local };

const char* to_string(Reach reach);

Reach reach_of(const in_addr& address);
// IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4) count as what they hold.
Reach reach_of(const in6_addr& address);
// Of an address in text form, with or without a zone; nothing for a name other than "localhost".
std::optional<Reach> reach_of(std::string_view host);

// Whether a server at `from` may send us to `to`.
constexpr bool may_lead(Reach from, Reach to) { return to == Reach::network || from == to; }

}  // namespace erofs_format::registry
