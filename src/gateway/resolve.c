/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving names.
 *
 * Theory of operation. c-ares makes the questions, parses the answers, and tells which of its
 * sockets it waits for; they are in the gateway's set like everything else. It is given the servers
 * and told to look nowhere but there: the gateway has no files to open. What it answers is only a
 * list of addresses; whether one of them may be dialled is the connection's business (conn.c).
 */
#include "gateway/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateway/gateway.h"
#include "gateway/rules.h"

#define SECOND 1000000000LL

/* Answers are used for at most so long, whatever they say: a rule is about names, and where a name
 * leads to may change. One that may not be used again is good for the connection it was asked for.
 */
#define USE_MAX (60 * SECOND)
#define USE_MIN (1 * SECOND)

/* Newer ones keep answers for an hour, unless they are told how long (0: not at all). */
#ifdef ARES_OPT_QUERY_CACHE
#define OPTION_CACHE ARES_OPT_QUERY_CACHE
#else
#define OPTION_CACHE 0
#endif

#define TIMEOUT_MS 2000
#define TRIES      3

/* c-ares has a handful of sockets at a time: one for each server and protocol. */
#define SOCKETS_MAX 16

struct resolver {
	ares_channel channel;
	struct gateway *gateway;
	struct socket_source {
		struct source source; /* first */
		struct resolver *resolver;
	} sockets[SOCKETS_MAX];
	struct known {
		char host[HOST_SIZE];
		struct address address;
	} * known; /* of hosts(5) */
	size_t n_known;
	char *servers; /* as c-ares wants them */
	char *renewed; /* those that are to be asked from the next turn on; or NULL */
};

struct question {
	struct gateway *gateway;
	void (*done)(void *arg, const struct resolved *r);
	void *arg;
};

/* ---- its sockets ---- */

static void socket_ready(struct source *s, uint32_t events)
{
	struct resolver *r = ((struct socket_source *)s)->resolver;
	int fd = s->fd;

	ares_process_fd(r->channel, events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

/* c-ares closes its sockets itself, after it has said that it waits for nothing there. */
static void forget(struct resolver *r, struct socket_source *s)
{
	int own = s->source.fd;

	s->source.fd = FD_NONE;
	(void)epoll_ctl(r->gateway->sources.epoll, EPOLL_CTL_DEL, own, NULL);
	sources_strike(&r->gateway->sources, &s->source);
}

static void wanted(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	uint32_t events =
		(readable ? (uint32_t)EPOLLIN : 0U) | (writable ? (uint32_t)EPOLLOUT : 0U);
	struct socket_source *free_one = NULL;

	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		struct socket_source *s = &r->sockets[i];

		if (s->source.fd == fd) {
			if (events == 0) {
				forget(r, s);
			} else {
				(void)source_change(&r->gateway->sources, &s->source, events);
			}
			return;
		}
		free_one = s->source.fd < 0 ? s : free_one;
	}
	/* Without a place its question runs into its time limit, and fails. */
	if (events != 0 && free_one) {
		*free_one = (struct socket_source){{fd, socket_ready}, r};
		if (source_add(&r->gateway->sources, &free_one->source, events) < 0) {
			free_one->source.fd = FD_NONE;
		}
	}
}

/* ---- answers ---- */

static bool take_address(const struct ares_addrinfo_node *node, struct address *ret)
{
	ret->family = (sa_family_t)node->ai_family;
	if (node->ai_family == AF_INET) {
		ret->v4 = ((const struct sockaddr_in *)node->ai_addr)->sin_addr;
	} else if (node->ai_family == AF_INET6) {
		ret->v6 = ((const struct sockaddr_in6 *)node->ai_addr)->sin6_addr;
		/* The kernel dials the IPv4 address, so that is what has to be looked at. */
		if (IN6_IS_ADDR_V4MAPPED(&ret->v6)) {
			*ret = (struct address){.family = AF_INET,
						.v4.s_addr = ret->v6.s6_addr32[3]};
		}
	} else {
		return false;
	}
	return true;
}

/* The host may be somewhere else by now, and we cannot see it. */
static void tell_stale(struct gateway *g)
{
	struct gateway_message m = {.op = GATEWAY_STALE};
	int64_t now = clock_now_ns();

	if (g->stale_ns == 0 || now - g->stale_ns >= GATEWAY_STALE_S * SECOND) {
		g->stale_ns = now;
		report(g, &m);
	}
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	_cleanup_free_ struct question *q = arg;
	struct resolved r = {};
	int64_t use = USE_MAX;

	(void)timeouts;
	for (const struct ares_addrinfo_node *node = info ? info->nodes : NULL;
	     node && r.n < RESOLVED_MAX; node = node->ai_next) {
		if (take_address(node, &r.list[r.n])) {
			int64_t ttl = node->ai_ttl * SECOND;

			use = ttl < use ? ttl : use;
			r.n++;
		}
	}
	if (info) {
		ares_freeaddrinfo(info);
	}
	r.status = r.n > 0 ? 0
		   : status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA
			   ? -ENOENT
			   : -EAGAIN;
	r.until_ns = clock_now_ns() + (r.status < 0 || use < USE_MIN ? USE_MIN : use);
	if (r.status == -EAGAIN && status != ARES_ECANCELLED) {
		tell_stale(q->gateway);
	}
	q->done(q->arg, &r);
}

static bool ask_known(const struct resolver *r, const char *host, struct resolved *ret)
{
	*ret = (struct resolved){.until_ns = clock_now_ns() + USE_MAX};
	for (size_t i = 0; i < r->n_known && ret->n < RESOLVED_MAX; i++) {
		if (strcmp(r->known[i].host, host) == 0) {
			ret->list[ret->n++] = r->known[i].address;
		}
	}
	return ret->n > 0;
}

void resolver_ask(struct resolver *r, const char *host,
		  void (*done)(void *arg, const struct resolved *r), void *arg)
{
	const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
	struct question *q;
	struct resolved known;
	char rooted[HOST_SIZE + 1];

	if (ask_known(r, host, &known)) {
		done(arg, &known);
		return;
	}
	q = malloc(sizeof(*q));
	if (!q) {
		known = (struct resolved){.status = -EAGAIN, .until_ns = clock_now_ns() + USE_MIN};
		done(arg, &known);
		return;
	}
	*q = (struct question){r->gateway, done, arg};
	(void)snprintf(rooted, sizeof(rooted), "%s.", host);
	ares_getaddrinfo(r->channel, rooted, NULL, &hints, answered, q);
}

int resolver_timeout(const struct resolver *r)
{
	struct timeval tv, *due = ares_timeout(r->channel, NULL, &tv);

	return due ? (int)(due->tv_sec * 1000 + due->tv_usec / 1000 + 1) : -1;
}

/* c-ares takes no other servers while questions are on their way to these (ARES_ENOTIMP): who was
 * told that there is no answer may have asked again, and then it is tried again. Those that it does
 * not take for another reason are forgotten: until then every question would be cancelled. */
static void renew(struct resolver *r)
{
	int status;

	ares_cancel(r->channel);
	status = ares_set_servers_ports_csv(r->channel, r->renewed);
	if (status == ARES_SUCCESS) {
		free(r->servers);
		r->servers = TAKE_PTR(r->renewed);
	} else if (status != ARES_ENOTIMP) {
		free(r->renewed);
		r->renewed = NULL;
	}
}

void resolver_tick(struct resolver *r)
{
	if (r->renewed) {
		renew(r);
	}
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- what the host says ---- */

/* c-ares takes none of a list where one is no address to it, as one with a scope (fe80::1%eth0). */
static bool is_server(const char *word)
{
	struct in6_addr a;

	return inet_pton(AF_INET, word, &a) == 1 || inet_pton(AF_INET6, word, &a) == 1;
}

/* The servers of resolv.conf(5), as c-ares wants them; without one there is one on this machine. */
static int find_servers(const char *text, struct buf *csv)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		char *word = strsep(&line, " \t");

		if (strcmp(word, "nameserver") != 0) {
			continue;
		}
		do {
			word = strsep(&line, " \t");
		} while (word && !*word);
		if (word && is_server(word) &&
		    (buf_adds(csv, csv->len > 0 ? "," : "") < 0 || buf_adds(csv, word) < 0)) {
			return -ENOMEM;
		}
	}
	return copy && (csv->len > 0 || buf_adds(csv, "127.0.0.1") >= 0) ? 0 : -ENOMEM;
}

static int add_known(struct resolver *r, const char *host, const struct address *a)
{
	struct known *more;
	uint16_t ports[EGRESS_PORTS_MAX];
	char name[HOST_SIZE];
	struct err ignored = {};
	bool wild;

	if (hostname_canonical(host, name, &ignored) < 0 ||
	    rules_ports(r->gateway, name, ports, &wild) == 0) {
		return 0;
	}
	more = reallocarray(r->known, r->n_known + 1, sizeof(*more));
	if (!more) {
		return -ENOMEM;
	}
	r->known = more;
	memcpy(more[r->n_known].host, name, sizeof(name));
	more[r->n_known++].address = *a;
	return 0;
}

/* "address name name # a comment" */
static int take_hosts_line(struct resolver *r, char *line)
{
	struct address a;
	char text[64], *word;
	bool have = false;
	int n = 0;

	line[strcspn(line, "#")] = '\0';
	while (n >= 0 && (word = strsep(&line, " \t\r"))) {
		if (!*word) {
			continue;
		}
		if (have) {
			n = add_known(r, word, &a);
			continue;
		}
		(void)snprintf(text, sizeof(text), strchr(word, ':') ? "[%s]" : "%s", word);
		if (!address_parse(text, &a)) {
			return 0;
		}
		have = true;
	}
	return n;
}

static int take_hosts(struct resolver *r, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (take_hosts_line(r, line) < 0) {
			return -ENOMEM;
		}
	}
	return copy ? 0 : -ENOMEM;
}

static int open_channel(struct resolver *r, const char *servers, struct err *e)
{
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.lookups = (char *)"b",
		.sock_state_cb = wanted,
		.sock_state_cb_data = r,
	};
	int status = ares_library_init(ARES_LIB_INIT_ALL);

	if (status == ARES_SUCCESS) {
		status = ares_init_options(&r->channel, &options,
					   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
						   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
						   OPTION_CACHE);
	}
	if (status == ARES_SUCCESS) {
		status = ares_set_servers_ports_csv(r->channel, servers);
	}
	return status == ARES_SUCCESS
		       ? 0
		       : err_set(e, ERR_SYSTEM, EINVAL, "cannot use the name servers '%s': %s",
				 servers, ares_strerror(status));
}

void resolver_renew(struct resolver *r, const char *resolv_conf, const char *hosts)
{
	_cleanup_buf_ struct buf servers = {};

	buf_init(&servers, 4096);
	free(r->renewed);
	r->renewed = NULL;
	r->n_known = 0;
	if (take_hosts(r, hosts) < 0 || find_servers(resolv_conf, &servers) < 0 ||
	    strcmp(buf_str(&servers), r->servers) == 0) {
		return;
	}
	r->renewed = strdup(buf_str(&servers));
}

int resolver_new(struct gateway *g, const char *resolv_conf, const char *hosts,
		 struct resolver **ret, struct err *e)
{
	struct resolver *r = calloc(1, sizeof(*r));
	_cleanup_buf_ struct buf servers = {};

	buf_init(&servers, 4096);
	if (!r) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	*ret = r;
	r->gateway = g;
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		r->sockets[i].source.fd = FD_NONE;
	}
	if (find_servers(resolv_conf, &servers) < 0 || take_hosts(r, hosts) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r->servers = strdup(buf_str(&servers));
	return r->servers ? open_channel(r, r->servers, e)
			  : err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}
