/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper is told. */
#include "gateway/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "gateway/gateway.h"

/* Denials that are told one by one; then whenever their number has doubled. */
#define REPORT_EACH 256

/* So many are told apart by an id; the keeper tells no more of them apart, but where it learns. */
#define REFUSED_MAX       64
#define REFUSED_MAX_LEARN 512

struct refused {
	enum gateway_denial why;
	uint16_t port;
	char host[HOST_SIZE];
};

static void tell(struct gateway *g, struct gateway_message *m)
{
	ssize_t n;

	m->open = (uint32_t)g->n_conns;
	g->conns_told = g->n_conns > 0;
	/* sendmsg(2) is not among the calls that are left: nobody hands descriptors to the keeper.
	 */
	n = g->over ? 0 : send(g->control.fd, m, sizeof(*m), MSG_NOSIGNAL);

	g->over = g->over || n < 0;
}

static void tell_ends(struct gateway *g)
{
	for (size_t i = 0; i < g->n_ends; i++) {
		tell(g, &g->ends[i]);
	}
	g->n_ends = 0;
}

void report(struct gateway *g, struct gateway_message *m)
{
	tell_ends(g);
	tell(g, m);
}

void report_end(struct gateway *g, const struct gateway_message *m)
{
	g->ends_ns = g->n_ends == 0 ? clock_now_ns() : g->ends_ns;
	g->ends[g->n_ends++] = *m;
	if (g->n_ends == GATEWAY_ENDS_WAITING) {
		tell_ends(g);
	}
}

static bool knows_less(const struct gateway *g)
{
	return g->n_conns > 0 && !g->conns_told;
}

void report_due(struct gateway *g)
{
	struct gateway_message m = {.op = GATEWAY_CONNECTED};
	int64_t now = g->n_ends > 0 || knows_less(g) ? clock_now_ns() : 0;

	if (g->n_ends > 0 && now - g->ends_ns >= GATEWAY_ENDS_WAIT_MS * 1000000LL) {
		tell_ends(g);
	}
	if (knows_less(g) && now - g->conns_ns >= GATEWAY_CONNECTED_MS * 1000000LL) {
		tell(g, &m);
	}
}

int report_patience(const struct gateway *g)
{
	return g->n_ends > 0 ? GATEWAY_ENDS_WAIT_MS : knows_less(g) ? GATEWAY_CONNECTED_MS : -1;
}

/* A power of two, or one of the first. */
static bool is_told(uint64_t n)
{
	return n <= REPORT_EACH || (n & (n - 1)) == 0;
}

/* The id of one that is refused for this reason; a new one where it is the first. */
static uint32_t id_of(struct gateway *g, enum gateway_denial why, const char *host, uint16_t port)
{
	const uint32_t most = g->learn ? REFUSED_MAX_LEARN : REFUSED_MAX;
	struct refused *r;

	if (!g->refused) {
		g->refused = calloc(most, sizeof(*g->refused));
	}
	for (uint32_t i = 0; i < g->n_refused; i++) {
		r = &g->refused[i];
		if (r->why == why && r->port == port && strcmp(r->host, host) == 0) {
			return i + 1;
		}
	}
	if (!g->refused || g->n_refused == most) {
		return 0;
	}
	r = &g->refused[g->n_refused++];
	*r = (struct refused){.why = why, .port = port};
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	return g->n_refused;
}

uint32_t report_denial(struct gateway *g, enum gateway_denial why, const char *host, uint16_t port)
{
	uint32_t known = g->n_refused, id = id_of(g, why, host, port);
	struct gateway_message m = {.op = GATEWAY_DENIED,
				    .id = id <= GATEWAY_REQUESTS ? id : 0,
				    .code = (int32_t)why,
				    .port = port,
				    .count = ++g->denied[why]};

	(void)snprintf(m.text, sizeof(m.text), "%s", host);
	if (is_told(m.count) || g->n_refused > known) {
		g->untold[why].count = 0;
		report(g, &m);
	} else {
		g->untold[why] = m;
	}
	return m.id;
}

const char *report_id(const struct gateway *g, uint32_t id, char out[GATEWAY_REQUEST_SIZE])
{
	out[0] = '\0';
	if (id > 0) {
		(void)snprintf(out, GATEWAY_REQUEST_SIZE, "%s.net%u", g->sandbox, id);
	}
	return out;
}

void report_rest(struct gateway *g)
{
	tell_ends(g);
	for (size_t i = 0; i < GATEWAY_DENIALS; i++) {
		if (g->untold[i].count > 0) {
			report(g, &g->untold[i]);
		}
	}
}
