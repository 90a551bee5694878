/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling for a connection. The address that is dialled is the one that was looked at: a name is
 * not resolved again between the two. Each is tried in turn.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mutant.h"
#include "gateway/conn.h"
#include "gateway/rules.h"
#include "linux/route.h"

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t make_name(const struct address *a, uint16_t port, union endpoint *ret)
{
	*ret = (union endpoint){};
	if (a->family == AF_INET) {
		ret->v4 = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = a->v4};
		return sizeof(ret->v4);
	}
	ret->v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = a->v6};
	return sizeof(ret->v6);
}

/* Why an address may not be dialled; NULL: it may. */
static const char *why_not(const struct conn *c, const struct address *a)
{
	const char *special = address_special(a);
	if (rules_deny_address(c->gateway, a)) {
		return "an address that network.deny names";
	}
	/* One that is written down in the rules is meant. */
	if (!c->listener->name || MUTANT(ATOLL_MUTATE_EGRESS_PRIVATE)) {
		return NULL;
	}
	if (address_is_metadata(a)) {
		return special;
	}
	if (c->rule->private_) {
		return NULL;
	}
	if (!special && route_is_local(c->gateway->routes, a->family, &a->v6)) {
		special = "an address of this machine";
	}
	return special;
}

static void describe(const struct address *a, uint16_t port, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(a->family, a->family == AF_INET ? (const void *)&a->v4 : &a->v6, text,
		       sizeof(text))) {
		text[0] = '\0';
	}
	(void)snprintf(out, size, a->family == AF_INET ? "%s:%u" : "[%s]:%u", text, (unsigned)port);
}

static void outer_ready(struct source *s, uint32_t events)
{
	struct side *side = (struct side *)s;
	struct conn *c = side->conn;

	side->readable = side->readable || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP));
	side->writable = side->writable || (events & EPOLLOUT);
	if (c->state == CONN_DIAL) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			source_close(&c->gateway->sources, s);
			(void)conn_dial(c);
			return;
		}
		if (!side->writable) {
			return;
		}
		conn_enter(c, CONN_CARRY);
	} else if (events & EPOLLERR) {
		conn_reset(c, side);
	}
	conn_carry(c);
}

static int set_options(const struct conn *c, int fd)
{
	const int on = 1, size = GATEWAY_BUFFER_UP;

	if (!c->wide && (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ||
			 setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)) {
		return -errno;
	}
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
			       setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0
		       ? -errno
		       : 0;
}

/* On its way to one address. */
static bool try_address(struct conn *c, const struct address *a)
{
	union endpoint to;
	socklen_t len = make_name(a, c->listener->port, &to);
	_cleanup_fd_ int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	describe(a, c->listener->port, c->peer, sizeof(c->peer));
	if (fd < 0 || set_options(c, fd) < 0 ||
	    (connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)) {
		return false;
	}
	c->outer = (struct side){.source = {TAKE_FD(fd), outer_ready}, .conn = c};
	if (source_add(&c->gateway->sources, &c->outer.source,
		       EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		c->outer.source.fd = fd_close(c->outer.source.fd);
		return false;
	}
	conn_enter(c, CONN_DIAL);
	return true;
}

/* None of its addresses is left. */
static bool give_up(struct conn *c)
{
	char detail[128];

	if (c->special && !c->peer[0]) {
		(void)snprintf(detail, sizeof(detail), "the name leads to %s", c->special);
		conn_refuse(c, c->special_code, detail);
		return false;
	}
	conn_end(c, c->peer[0] ? GATEWAY_END_UNREACHABLE : GATEWAY_END_UNRESOLVED, true);
	return false;
}

static bool dial_next(struct conn *c)
{
	while (c->next_address < c->to.n) {
		const struct address *a = &c->to.list[c->next_address++];
		const char *why = why_not(c, a);

		if (why) {
			c->special = why;
			c->special_code = rules_deny_address(c->gateway, a) ? GATEWAY_DENY_DENIED
									    : GATEWAY_DENY_PRIVATE;
		} else if (try_address(c, a)) {
			return true;
		}
	}
	return give_up(c);
}

static void resolved(void *arg, struct name *n)
{
	struct conn *c = arg;

	c->to = n->resolved;
	(void)dial_next(c);
}

/* It may be resolved at once, and then c may be gone when name_await() returns. */
static bool dial_name(struct conn *c)
{
	struct gateway *g = c->gateway;
	size_t before = g->n_conns;

	if (name_await(g, c->listener->name, false, resolved, c) < 0) {
		conn_end(c, GATEWAY_END_UNRESOLVED, true);
		return false;
	}
	return g->n_conns == before;
}

bool conn_dial(struct conn *c)
{
	if (c->state != CONN_JUDGE) {
		return dial_next(c);
	}
	conn_enter(c, CONN_RESOLVE);
	if (!c->listener->name) {
		c->to.n = address_parse(c->listener->host, &c->to.list[0]);
		return dial_next(c);
	}
	return dial_name(c);
}
