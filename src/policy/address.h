/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are somebody's on the Internet, and which have a meaning of their own. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

/* An address of either family; `family` is AF_INET or AF_INET6. */
struct address {
	sa_family_t family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/* Parses the canonical form of policy/hostname.h: IPv6 in brackets. False: it is no address. */
bool address_parse(const char *host, struct address *ret);

/* What is dialled by it: the IPv4 address inside of an IPv6 one (mapped, NAT64), or itself. */
struct address address_meant(const struct address *a);

/*
 * What is special about an address, as words to follow "it is": "a loopback address"; NULL: it is
 * an ordinary one. From IANA's registries of special purpose addresses, and what clouds put their
 * metadata at. An address inside of an IPv6 one (mapped, NAT64) counts as that address.
 */
const char *address_special(const struct address *a);

/* It is where a cloud hands out keys: no name leads there, whatever a rule says. */
bool address_is_metadata(const struct address *a);
