/* SPDX-License-Identifier: Apache-2.0 */
/* Names and their listeners. */
#include "gateway/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mutant.h"
#include "gateway/gateway.h"
#include "gateway/rules.h"
#include "policy/plan.h"

#define SECOND  1000000000LL
#define BUCKETS 256

/* The kernel forgets a socket that nobody has any more after as long (tcp_fin_timeout). */
#define KEEPALIVE_S 60
#define NAMES_MAX   (PLAN_NET_MAX + NAMES_WILD_MAX + NAMES_ANY_MAX)

/* That wait for one name. The slots that questions wait in are for all names; of connections there
 * are only so many (gateway.h), and nobody dials again for one that is turned away. */
#define QUESTIONS_MAX 64

struct name_waiter {
	bool listeners;
	void (*done)(void *arg, struct name *n);
	void *arg;
	struct name_waiter *next;
};

struct names {
	struct name *buckets[BUCKETS];
	struct name *by_address[NAMES_MAX]; /* from EGRESS_FIRST on, one after the other */
	size_t n, n_wild, n_any;
	size_t n_opening; /* that wait for the keeper */
	uint32_t next_address;
	struct listener *addresses; /* the listeners of destinations that are one */
	int64_t wild_from_ns; /* the time up to which names under patterns have been paid for */
};

struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (names) {
		names->next_address = EGRESS_FIRST;
	}
	return names;
}

/* FNV-1a: a payload that makes its names meet in one bucket gets no more than NAMES_MAX of them. */
static unsigned bucket_of(const char *host)
{
	uint32_t hash = 2166136261U;

	for (; *host; host++) {
		hash = (hash ^ (uint8_t)*host) * 16777619U;
	}
	return hash % BUCKETS;
}

/* A bucket of tokens by the time that they take to come again. */
static bool take_token(struct names *names)
{
	int64_t now = clock_now_ns(), pause = NAMES_WILD_PAUSE_S * SECOND;
	int64_t from = names->wild_from_ns, first = now - (NAMES_WILD_BURST - 1) * pause;

	from = from < first ? first : from;
	if (from > now) {
		return false;
	}
	names->wild_from_ns = from + pause;
	return true;
}

/* The bytes that stand for the asterisk of the longest pattern. */
static size_t variable_bytes(const struct gateway *g, const char *host)
{
	size_t least = strlen(host);

	for (size_t i = 0; i < g->n_rules; i++) {
		const char *pattern = g->rules[i].host;

		if (pattern[0] == '*' && hostname_within(host, pattern)) {
			size_t n = strlen(host) - (strlen(pattern) - 1);

			least = n < least ? n : least;
		}
	}
	return least;
}

/* Every name is allowed, or, where no rule names it, nobody outside is asked for it. */
static bool is_any(const struct gateway *g, const char *host)
{
	bool named = false;

	for (size_t i = 0; i < g->n_rules; i++) {
		if (strcmp(g->rules[i].host, "*") == 0) {
			return true;
		}
		named = named || hostname_within(host, g->rules[i].host);
	}
	return !named;
}

static const char *refuse_wild(struct gateway *g, const char *host)
{
	if (MUTANT(ATOLL_MUTATE_EGRESS_PACE)) {
		return NULL;
	}
	if (is_any(g, host)) {
		return g->names->n_any < NAMES_ANY_MAX ? NULL
						       : "too many different names were asked for";
	}
	if (variable_bytes(g, host) > NAMES_WILD_BYTES) {
		return "the name is too long for one under a pattern";
	}
	if (g->names->n_wild >= NAMES_WILD_MAX) {
		return "too many different names under patterns were asked for";
	}
	return take_token(g->names) ? NULL : "names under patterns are asked for too fast";
}

/* Half of the descriptors are for connections. */
static bool has_room(const struct gateway *g, size_t n_ports)
{
	return g->names->n < NAMES_MAX && g->n_listeners + n_ports <= g->files / 2;
}

struct name *names_get(struct gateway *g, const char *host, const char **ret_why)
{
	struct names *names = g->names;
	struct name **bucket = &names->buckets[bucket_of(host)], *n;
	uint16_t ports[EGRESS_PORTS_MAX] = {};
	size_t n_ports;
	bool wild;

	*ret_why = NULL;
	for (n = *bucket; n; n = n->next) {
		if (strcmp(n->host, host) == 0) {
			return n;
		}
	}
	n_ports = rules_ports(g, host, ports, &wild);
	if (n_ports == 0 && (!g->learn || rules_deny(g, host))) {
		return NULL;
	}
	*ret_why = wild ? refuse_wild(g, host) : NULL;
	if (*ret_why || !has_room(g, n_ports) || !(n = calloc(1, sizeof(*n)))) {
		*ret_why = *ret_why ? *ret_why : "there is no room for another name";
		return NULL;
	}
	(void)snprintf(n->host, sizeof(n->host), "%s", host);
	memcpy(n->ports, ports, sizeof(ports));
	n->n_ports = n_ports;
	n->address = names->next_address++;
	n->next = *bucket;
	*bucket = n;
	names->by_address[names->n++] = n;
	names->n_any += wild && is_any(g, host);
	names->n_wild += wild && !is_any(g, host);
	g->n_listeners += n_ports;
	if (n_ports == 0) {
		/* It leads nowhere, and nobody outside is asked for it. */
		n->resolved.until_ns = INT64_MAX;
		n->state = NAME_OPEN;
	}
	return n;
}

const struct name *names_by_address(const struct gateway *g, uint32_t address)
{
	uint32_t i = address - EGRESS_FIRST;

	return address >= EGRESS_FIRST && i < g->names->n ? g->names->by_address[i] : NULL;
}

/* ---- waiting ---- */

static bool is_fresh(const struct name *n)
{
	return !n->asked && n->resolved.until_ns > clock_now_ns();
}

static bool is_ready(const struct name *n, bool listeners)
{
	return is_fresh(n) &&
	       (!listeners || n->resolved.status < 0 || n->state == NAME_OPEN || n->error);
}

/* Those that wait for what is there now; each may ask for more. */
static void wake(struct name *n)
{
	struct name_waiter **at = &n->waiters;

	while (*at) {
		struct name_waiter *w = *at;

		if (!is_ready(n, w->listeners)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->done(w->arg, n);
		free(w);
		at = &n->waiters;
	}
}

static void answered(void *arg, const struct resolved *r)
{
	struct name *n = arg;

	n->asked = false;
	n->resolved = *r;
	wake(n);
}

/* Those that could not be opened are not asked for again at once: a payload has its ways to see to
 * that, and each time costs the keeper a process. */
static bool is_refused(const struct name *n)
{
	return n->error && clock_now_ns() < n->again_ns;
}

static void ask_listeners(struct gateway *g, struct name *n)
{
	struct gateway_message m = {.op = GATEWAY_OPEN,
				    .id = n->address - EGRESS_FIRST,
				    .address = n->address,
				    .n_ports = (uint16_t)n->n_ports};

	n->error = 0;
	if (g->names->n_opening == GATEWAY_OPENING) {
		return; /* its turn comes with an answer to another */
	}
	memcpy(m.ports, n->ports, sizeof(m.ports));
	(void)snprintf(m.text, sizeof(m.text), "%s", n->host);
	n->state = NAME_OPENING;
	g->names->n_opening++;
	report(g, &m);
}

static bool wants_listeners(const struct name *n)
{
	const struct name_waiter *w = n->waiters;

	while (w && !w->listeners) {
		w = w->next;
	}
	return n->state == NAME_CLOSED && !n->error && w;
}

/* There is room for one more. */
static void ask_next(struct gateway *g)
{
	size_t i = 0;

	while (i < g->names->n && !wants_listeners(g->names->by_address[i])) {
		i++;
	}
	if (i < g->names->n) {
		ask_listeners(g, g->names->by_address[i]);
	}
}

static void ask_addresses(struct gateway *g, struct name *n)
{
	if (!n->asked && !is_fresh(n)) {
		n->asked = true;
		resolver_ask(g->resolver, n->host, answered, n);
	}
}

int name_await(struct gateway *g, struct name *n, bool listeners,
	       void (*done)(void *arg, struct name *n), void *arg)
{
	struct name_waiter *w, **end = &n->waiters;
	size_t count = 0;

	if (is_ready(n, listeners) && (!n->error || is_refused(n))) {
		done(arg, n);
		return 0;
	}
	for (; *end; end = &(*end)->next) {
		count += (*end)->listeners;
	}
	w = !listeners || count < QUESTIONS_MAX ? malloc(sizeof(*w)) : NULL;
	if (!w) {
		return -EBUSY;
	}
	*w = (struct name_waiter){listeners, done, arg, NULL};
	*end = w;
	if (listeners && n->state == NAME_CLOSED && !is_refused(n)) {
		ask_listeners(g, n);
	}
	ask_addresses(g, n);
	return 0;
}

void name_forget(struct name *n, const void *arg)
{
	struct name_waiter **at = &n->waiters;

	while (*at) {
		struct name_waiter *w = *at;

		if (w->arg == arg) {
			*at = w->next;
			free(w);
		} else {
			at = &w->next;
		}
	}
}

/* ---- listeners ---- */

static int listen_on(struct gateway *g, struct listener *l, int fd)
{
	const int on = 1, idle = KEEPALIVE_S, pause = KEEPALIVE_S / 4;

	/* Who is accepted has them from the listener. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	/* Whoever is gone inside without a word is noticed, however long the server waits. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof(pause));
	l->gateway = g;
	l->source = (struct source){fd, conn_accept};
	return source_add(&g->sources, &l->source, EPOLLIN);
}

void names_opened(struct gateway *g, const struct gateway_message *m, const int *fds, size_t n_fds)
{
	struct name *n = m->id < g->names->n ? g->names->by_address[m->id] : NULL;
	bool good = m->code == 0 && n && n_fds == n->n_ports;

	if (!n || n->state != NAME_OPENING) {
		g->over = true; /* the keeper speaks of what nobody asked for */
		return;
	}
	g->names->n_opening--;
	n->listeners = good ? calloc(n_fds, sizeof(*n->listeners)) : NULL;
	for (size_t i = 0; i < n_fds; i++) {
		if (!n->listeners) {
			(void)fd_close(fds[i]);
			continue;
		}
		n->listeners[i].name = n;
		n->listeners[i].port = n->ports[i];
		n->listeners[i].moved = &n->moved;
		(void)snprintf(n->listeners[i].host, HOST_SIZE, "%s", n->host);
		g->over = g->over || listen_on(g, &n->listeners[i], fds[i]) < 0;
	}
	n->state = n->listeners ? NAME_OPEN : NAME_CLOSED;
	n->error = n->listeners ? 0 : m->code ? m->code : ENOMEM;
	n->again_ns = clock_now_ns() + NAMES_AGAIN_NS;
	wake(n);
	if (n->waiters) {
		ask_addresses(g, n); /* they were known, and are no more */
	}
	ask_next(g);
}

/* Whose address it is: "192.0.2.1", "[2001:db8::1]". */
static bool describe(int fd, char host[HOST_SIZE], uint16_t *ret_port)
{
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);
	char text[INET6_ADDRSTRLEN];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
		return false;
	}
	if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

		*ret_port = ntohs(in->sin_port);
		(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		(void)snprintf(host, HOST_SIZE, "%s", text);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;

		*ret_port = ntohs(in6->sin6_port);
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		(void)snprintf(host, HOST_SIZE, "[%s]", text);
	}
	return true;
}

/* Where the bytes of a host are counted that may have several ports. */
static uint64_t *count_of(struct listener *l)
{
	for (struct listener *other = l->next; other; other = other->next) {
		if (strcmp(other->host, l->host) == 0) {
			return other->moved;
		}
	}
	return &l->own_moved;
}

int names_add_address(struct gateway *g, int fd)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l || !describe(fd, l->host, &l->port)) {
		free(l);
		(void)fd_close(fd);
		return -ENOMEM;
	}
	l->next = g->names->addresses;
	l->moved = count_of(l);
	g->names->addresses = l;
	g->n_listeners++;
	return listen_on(g, l, fd);
}
