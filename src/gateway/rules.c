/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule names a host. */
#include <string.h>

#include "base/mutant.h"
#include "gateway/gateway.h"

const struct destination *rules_find(const struct gateway *g, const char *host, uint16_t port)
{
	const struct destination *best = NULL;

	for (size_t i = 0; i < g->n_rules; i++) {
		const struct destination *d = &g->rules[i];

		if (d->port != port ||
		    (!MUTANT(ATOLL_MUTATE_EGRESS_NAME) && !hostname_within(host, d->host))) {
			continue;
		}
		/* Both hold the same name, so the longer one is the closer one. */
		if (!best || (best->host[0] == '*' &&
			      (d->host[0] != '*' || strlen(d->host) > strlen(best->host)))) {
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
