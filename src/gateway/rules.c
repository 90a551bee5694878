/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule names a host. */
#include "gateway/rules.h"

#include <string.h>

#include "base/mutant.h"
#include "gateway/gateway.h"

bool rules_deny(const struct gateway *g, const char *host)
{
	for (size_t i = 0; i < g->n_deny && !MUTANT(ATOLL_MUTATE_EGRESS_DENY); i++) {
		if (hostname_within(host, g->deny[i])) {
			return true;
		}
	}
	return false;
}

static bool is_same_address(const struct address *a, const struct address *b)
{
	return a->family == b->family &&
	       (a->family == AF_INET ? a->v4.s_addr == b->v4.s_addr
				     : memcmp(&a->v6, &b->v6, sizeof(a->v6)) == 0);
}

/* By whichever of its spellings it is denied, and by whichever it would be dialled. */
bool rules_deny_address(const struct gateway *g, const struct address *a)
{
	const struct address meant = address_meant(a);

	for (size_t i = 0; i < g->n_deny && !MUTANT(ATOLL_MUTATE_EGRESS_DENY_ADDRESS); i++) {
		struct address denied;

		if (!address_parse(g->deny[i], &denied)) {
			continue;
		}
		denied = address_meant(&denied);
		if (is_same_address(&meant, &denied)) {
			return true;
		}
	}
	return false;
}

/* Of two rules for a host and port. Where both name it alike, the one that lets more through was
 * added to the other. */
static bool is_closer(const struct destination *d, const struct destination *than)
{
	bool exact = d->host[0] != '*', other = than->host[0] != '*';
	size_t length = exact ? 0 : strlen(d->host), before = other ? 0 : strlen(than->host);

	if (exact != other || length != before) {
		return exact > other || (exact == other && length > before);
	}
	return d->protocol != than->protocol ? d->protocol == NET_TCP
					     : d->private_ && !than->private_;
}

const struct destination *rules_find(const struct gateway *g, const char *host, uint16_t port)
{
	const struct destination *best = NULL;

	if (rules_deny(g, host)) {
		return NULL;
	}
	for (size_t i = 0; i < g->n_rules; i++) {
		const struct destination *d = &g->rules[i];

		if (d->port != port ||
		    (!MUTANT(ATOLL_MUTATE_EGRESS_NAME) && !hostname_within(host, d->host))) {
			continue;
		}
		/* Both hold the same name, so the longer one is the closer one. */
		if (!best || is_closer(d, best)) {
			best = d;
		}
	}
	return best;
}

size_t rules_ports(const struct gateway *g, const char *host, uint16_t ports[EGRESS_PORTS_MAX],
		   bool *ret_wild)
{
	size_t n = 0;

	*ret_wild = true;
	if (rules_deny(g, host)) {
		return 0;
	}
	for (size_t i = 0; i < g->n_rules; i++) {
		const struct destination *d = &g->rules[i];
		bool known = false;

		if (!MUTANT(ATOLL_MUTATE_EGRESS_NAME) && !hostname_within(host, d->host)) {
			continue;
		}
		*ret_wild = *ret_wild && d->host[0] == '*';
		for (size_t j = 0; j < n; j++) {
			known = known || ports[j] == d->port;
		}
		if (!known && n < EGRESS_PORTS_MAX) {
			ports[n++] = d->port;
		}
	}
	return n;
}
