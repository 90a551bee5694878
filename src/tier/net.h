/* SPDX-License-Identifier: Apache-2.0 */
/* What a tier hands out of a sandbox's network, where its plan has destinations. */
#pragma once

#include <stddef.h>

#include "policy/egress.h"
#include "policy/plan.h"

/* Places in tier_net.fds. The first two lead to where the keeper makes more listeners. */
enum {
	TIER_NET_NETNS,
	TIER_NET_USERNS,
	TIER_NET_DNS_UDP,
	TIER_NET_DNS_TCP,
	TIER_NET_OBSERVER, /* a packet socket: what was refused, from the IP header on */
	TIER_NET_HELD,     /* n_held sockets that only hold a port, then those that listen */
};

#define TIER_NET_MAX (TIER_NET_HELD + EGRESS_PORTS_MAX + PLAN_NET_MAX)

/* n is 0 where there are no destinations. */
struct tier_net {
	int fds[TIER_NET_MAX];
	size_t n, n_held;
};
