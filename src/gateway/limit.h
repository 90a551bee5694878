/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the network a sandbox may use. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct gateway;

/* Seconds that are counted one by one, so that in any minute there are no more than so many: one
 * that has begun, and sixty before it. */
#define GATEWAY_SECONDS 61

/* What may be used, and what has been. */
struct gateway_limits {
	size_t connections;  /* at one time */
	uint64_t bytes;      /* both ways, of all connections */
	uint64_t host_bytes; /* of those to one host */
	uint64_t requests;   /* in any minute */
	int64_t cooldown_ns; /* in which there are no more, after too many */
	uint64_t moved;      /* bytes, so far */
	uint64_t recent;     /* requests, of `counts` */
	int64_t second;      /* the running one, by clock_now_ns() */
	int64_t shut_ns;     /* until when there are none */
	uint32_t counts[GATEWAY_SECONDS];
};

/* One more request, now (clock_now_ns()). NULL, or why it is one too many. */
const char *limit_request(struct gateway_limits *l, int64_t now);

/* For how many seconds there are no more: until it has cooled down, and the minute has room. */
unsigned limit_pause(const struct gateway_limits *l, int64_t now);

/* How many bytes may still go to or come from a host, of which so many have. */
uint64_t limit_left(const struct gateway *g, uint64_t moved);
