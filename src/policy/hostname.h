/* SPDX-License-Identifier: Apache-2.0 */
/* Host names and destinations in one canonical form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define HOSTNAME_MAX 253 /* RFC 1035, without the final dot */
/* "*." + name + ":" + port + "/http" + ",private" and the terminator; IPv6 literals in brackets are
 * shorter. */
#define DESTINATION_SIZE (2 + HOSTNAME_MAX + 1 + 5 + 5 + 8 + 1)
#define HOST_SIZE        (2 + HOSTNAME_MAX + 1)

/*
 * Canonicalises a host: RFC 1123 letters, digits and hyphens, lower case, no final dot, labels of 1
 * to 63 bytes, at most 253 in all, optionally "*." before at least two labels. Names outside ASCII
 * must be written as A-labels (xn--...). A literal address must be the one canonical spelling of
 * inet_ntop(3), IPv6 in brackets. 0, or -EINVAL with the reason (kind ERR_POLICY, no place).
 */
int hostname_canonical(const char *host, char out[HOST_SIZE], struct err *e);

/* What is spoken at a destination, and therefore what the gateway can hold it to. */
enum net_protocol {
	NET_TLS,  /* TLS from the first byte, to the name that was dialled */
	NET_HTTP, /* HTTP/1.1 requests, each to that name */
	NET_TCP,  /* anything */
};

/* A place that may be connected to. */
struct destination {
	char host[HOST_SIZE]; /* canonical */
	uint16_t port;
	enum net_protocol protocol;
	bool private_; /* also where the name leads to an address that is nobody's on the Internet
			*/
};

/*
 * Parses "HOST[:PORT][/PROTOCOL][,private]"; HOST may be "*", which is every name. The port is 443
 * where none is said, and the protocol tls at port 443, http at 80, tcp anywhere else. 0, or
 * -EINVAL as above.
 */
int destination_parse(const char *text, struct destination *ret, struct err *e);

/* Its one spelling, in which nothing is said that goes without saying but the port. Returns `out`.
 */
const char *destination_text(const struct destination *d, char out[DESTINATION_SIZE]);

/* Both: the one spelling of a text. */
int destination_canonical(const char *text, char out[DESTINATION_SIZE], struct err *e);

/* The word for it: tls, http, tcp. */
const char *net_protocol_name(enum net_protocol p);

/* True when the canonical `host` is that of a pattern, which is one itself, begins with "*." or is
 * "*", which every name is within, and no address. */
bool hostname_within(const char *host, const char *pattern);

/* True when every connection that `inner` allows is one that `outer` allows; both as texts. */
bool destination_within(const char *inner, const char *outer);
