/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from what was tried. */
#include "keeper/learned.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "policy/address.h"
#include "policy/egress.h"
#include "policy/hostname.h"
#include "policy/plan.h"

void learned_done(struct learned *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->rules[i]);
	}
	free(l->rules);
	*l = (struct learned){};
}

static int add(struct learned *l, const struct destination *d)
{
	char text[DESTINATION_SIZE];
	char **more;

	(void)destination_text(d, text);
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->rules[i], text) == 0) {
			return 0;
		}
	}
	if (l->n == LEARNED_MAX) {
		l->more = true;
		return 0;
	}
	more = reallocarray(l->rules, l->n + 1, sizeof(*more));
	if (!more) {
		return -ENOMEM;
	}
	l->rules = more;
	more[l->n] = strdup(text);
	if (!more[l->n]) {
		return -ENOMEM;
	}
	l->n++;
	return 0;
}

/* "HOST:PORT" of what the gateway names, which is foreign: 0 where it is no destination. */
static bool parse(const char *host, uint16_t port, struct destination *ret)
{
	char text[HOST_SIZE + 8];
	struct err ignored = {};
	struct address a;

	(void)snprintf(text, sizeof(text), "%s:%u", host, (unsigned)port);
	if (port == 0 || host[0] == '*' || destination_parse(text, ret, &ignored) < 0) {
		return false;
	}
	if (!address_parse(ret->host, &a)) {
		return true;
	}
	if (address_is_metadata(&a)) {
		return false; /* nobody is asked to allow that */
	}
	ret->private_ = address_special(&a) != NULL;
	/* One that stands for a name means nothing in a rule. */
	return a.family != AF_INET || (ntohl(a.v4.s_addr) & EGRESS_MASK) != EGRESS_NET;
}

/* What the rules that name it allow already. */
static void start_from(const struct plan *plan, struct destination *d)
{
	for (size_t i = 0; i < plan->n_net; i++) {
		struct destination rule;
		struct err ignored = {};

		if (destination_parse(plan->net[i], &rule, &ignored) >= 0 && rule.port == d->port &&
		    hostname_within(d->host, rule.host)) {
			d->private_ = d->private_ || rule.private_;
			d->protocol = rule.protocol == NET_TCP ? NET_TCP : d->protocol;
		}
	}
}

int learned_refused(struct learned *l, const struct plan *plan, enum gateway_denial why,
		    const char *host, uint16_t port)
{
	struct destination d;

	if (!parse(host, port, &d)) {
		return 0;
	}
	start_from(plan, &d);
	switch (why) {
	case GATEWAY_DENY_NAME:
	case GATEWAY_DENY_ADDRESS:
		break;
	case GATEWAY_DENY_PRIVATE:
		d.private_ = true;
		break;
	case GATEWAY_DENY_PROTOCOL:
		d.protocol = NET_TCP;
		break;
	default:
		return 0; /* no rule would help */
	}
	return add(l, &d);
}

int learned_allowed(struct learned *l, const char *rule, const char *host)
{
	struct destination of, d;
	struct err ignored = {};

	if (destination_parse(rule, &of, &ignored) < 0 || strcmp(of.host, "*") != 0 ||
	    !parse(host, of.port, &d)) {
		return 0;
	}
	d.protocol = of.protocol;
	d.private_ = of.private_;
	return add(l, &d);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *learned_to_json(const struct learned *l)
{
	_cleanup_json_ json_t *list = json_array();

	if (l->n > 0) {
		qsort(l->rules, l->n, sizeof(*l->rules), by_text);
	}
	for (size_t i = 0; list && i < l->n; i++) {
		if (json_array_append_new(list, json_string(l->rules[i])) < 0) {
			return NULL;
		}
	}
	return TAKE_PTR(list);
}
