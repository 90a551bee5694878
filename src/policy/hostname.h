/* SPDX-License-Identifier: Apache-2.0 */
/* Host names and destinations in one canonical form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define HOSTNAME_MAX 253 /* RFC 1035, without the final dot */
/* "*." + name + ":" + port + terminator; IPv6 literals in brackets are shorter. */
#define DESTINATION_SIZE (2 + HOSTNAME_MAX + 1 + 5 + 1)

/*
 * Canonicalises a host: RFC 1123 letters, digits and hyphens, lower case, no final dot, labels of 1
 * to 63 bytes, at most 253 in all, optionally "*." before at least two labels. Names outside ASCII
 * must be written as A-labels (xn--...). A literal address must be the one canonical spelling of
 * inet_ntop(3), IPv6 in brackets. 0, or -EINVAL with the reason (kind ERR_POLICY, no place).
 */
int hostname_canonical(const char *host, char out[DESTINATION_SIZE], struct err *e);

/* As above for "host:port", port 1 to 65535 without leading zeros. */
int destination_canonical(const char *text, char out[DESTINATION_SIZE], struct err *e);

/* True when every destination that `inner` names is one of those `outer` names. */
bool destination_within(const char *inner, const char *outer);
