/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of the network a sandbox may use (network.limits). Bytes are counted where they are
 * taken from a socket, and no more are taken than may still go, so that the limit is exact.
 * Requests are counted by the second.
 */
#include "gateway/limit.h"

#include <string.h>

#include "base/mutant.h"
#include "gateway/gateway.h"

#define SECOND 1000000000LL

/* Forgets the seconds that are more than a minute ago. */
static void advance(struct gateway_limits *l, int64_t second)
{
	int64_t steps = second - l->second;

	if (steps >= GATEWAY_SECONDS) {
		memset(l->counts, 0, sizeof(l->counts));
		l->recent = 0;
	}
	for (int64_t i = 1; i <= steps && steps < GATEWAY_SECONDS; i++) {
		uint32_t *count = &l->counts[(l->second + i) % GATEWAY_SECONDS];

		l->recent -= *count;
		*count = 0;
	}
	l->second = second;
}

const char *limit_request(struct gateway_limits *l, int64_t now)
{
	if (MUTANT(ATOLL_MUTATE_EGRESS_REQUESTS)) {
		return NULL;
	}
	advance(l, now / SECOND);
	if (now < l->shut_ns) {
		return "too many requests, and the time to cool down is not over";
	}
	if (l->recent >= l->requests) {
		l->shut_ns = now + l->cooldown_ns;
		return "too many requests in a minute";
	}
	l->recent++;
	l->counts[l->second % GATEWAY_SECONDS]++;
	return NULL;
}

/* When there is room again in the minute, in whole seconds of the clock. */
static int64_t room(const struct gateway_limits *l)
{
	uint64_t left = l->recent;
	int64_t second = l->second - GATEWAY_SECONDS + 1;

	while (left >= l->requests && second <= l->second) {
		left -= l->counts[(second + GATEWAY_SECONDS) % GATEWAY_SECONDS];
		second++;
	}
	return second - 1 + GATEWAY_SECONDS;
}

unsigned limit_pause(const struct gateway_limits *l, int64_t now)
{
	int64_t shut = l->shut_ns - now;
	int64_t full = l->recent >= l->requests ? room(l) * SECOND - now : 0;
	int64_t left = shut > full ? shut : full;

	return left > 0 ? (unsigned)((left + SECOND - 1) / SECOND) : 1;
}

uint64_t limit_left(const struct gateway *g, uint64_t moved)
{
	const struct gateway_limits *l = &g->limits;
	uint64_t all = l->bytes - l->moved,
		 host = l->host_bytes > moved ? l->host_bytes - moved : 0;

	return MUTANT(ATOLL_MUTATE_EGRESS_BYTES) ? UINT64_MAX : all < host ? all : host;
}
