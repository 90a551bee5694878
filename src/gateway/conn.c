/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection: see conn.h. */
#include "gateway/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gateway/rules.h"

/* How long nobody is served when the host has no descriptors or memory for another one. */
#define ACCEPT_PAUSE_NS (20 * 1000000L)

static int64_t time_of(const struct conn *c)
{
	switch (c->state) {
	case CONN_JUDGE:
		return CONN_JUDGE_NS;
	case CONN_DIAL:
		return CONN_DIAL_NS;
	case CONN_LINGER:
		return CONN_LINGER_NS;
	default:
		return INT64_MAX;
	}
}

static bool is_timed(const struct conn *c)
{
	return time_of(c) < INT64_MAX;
}

void conn_enter(struct conn *c, enum conn_state state)
{
	c->gateway->n_timed -= is_timed(c);
	c->state = state;
	c->gateway->n_timed += is_timed(c);
	c->state_ns = clock_now_ns();
}

static void reset_on_close(int fd)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void unlink_hurried(struct conn *c)
{
	struct conn **at = &c->gateway->hurried;

	while (*at && *at != c) {
		at = &(*at)->hurried;
	}
	if (*at) {
		*at = c->hurried;
	}
}

static void tell_end(const struct conn *c, enum gateway_end how)
{
	struct gateway_message m = {.op = GATEWAY_CONNECTION,
				    .code = (int32_t)how,
				    .port = c->listener->port,
				    .tls = c->tls,
				    .rule = (uint16_t)(c->rule - c->gateway->rules),
				    .up = c->up.moved,
				    .down = c->down.moved,
				    .ns = clock_now_ns() - c->born_ns};

	(void)snprintf(m.text, sizeof(m.text), "%s", c->listener->host);
	(void)snprintf(m.peer, sizeof(m.peer), "%s", c->peer);
	report_end(c->gateway, &m);
}

void conn_end(struct conn *c, enum gateway_end how, bool reset)
{
	struct gateway *g = c->gateway;

	if (reset) {
		reset_on_close(c->inner.source.fd);
		if (c->outer.source.fd >= 0) {
			reset_on_close(c->outer.source.fd);
		}
	}
	g->n_conns--;
	tell_end(c, how);
	source_close(&g->sources, &c->inner.source);
	source_close(&g->sources, &c->outer.source);
	flow_done(g, &c->up);
	flow_done(g, &c->down);
	if (c->listener->name) {
		name_forget(c->listener->name, c);
	}
	if (c->in_hurry) {
		unlink_hurried(c);
	}
	*c->at = c->next;
	if (c->next) {
		c->next->at = c->at;
	}
	g->n_wide -= c->wide;
	g->n_timed -= is_timed(c);
	free(c);
}

void conn_say(struct conn *c, const char *bytes, size_t len)
{
	(void)send(c->inner.source.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(c->inner.source.fd, SHUT_WR);
	source_close(&c->gateway->sources, &c->outer.source);
	conn_enter(c, CONN_LINGER);
}

/* Unread bytes would make the kernel send a RST, which can take our words with it. */
static void linger(struct conn *c)
{
	char bin[16384];
	ssize_t n = 0;

	for (int i = 0; i < 16 && n >= 0; i++) {
		n = recv(c->inner.source.fd, bin, sizeof(bin), MSG_DONTWAIT);
		if (n == 0) {
			conn_end(c, GATEWAY_END_REFUSED, false);
			return;
		}
	}
}

static void inner_ready(struct source *s, uint32_t events)
{
	struct side *side = (struct side *)s;
	struct conn *c = side->conn;

	side->readable = side->readable || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP));
	side->writable = side->writable || (events & EPOLLOUT);
	side->hup = side->hup || (events & (EPOLLRDHUP | EPOLLHUP));
	if ((events & EPOLLERR) && c->state == CONN_CARRY) {
		conn_reset(c, side);
		conn_carry(c);
	} else if (events & EPOLLERR) {
		conn_end(c, GATEWAY_END_RESET, true);
	} else if (c->state == CONN_JUDGE && side->readable) {
		(void)conn_judge(c);
	} else if (c->state == CONN_CARRY) {
		conn_carry(c);
	} else if (c->state == CONN_LINGER) {
		linger(c);
	}
}

static void begin(struct conn *c)
{
	const int up = GATEWAY_BUFFER_UP, down = GATEWAY_BUFFER_DOWN;

	(void)setsockopt(c->inner.source.fd, SOL_SOCKET, SO_RCVBUF, &up, sizeof(up));
	(void)setsockopt(c->inner.source.fd, SOL_SOCKET, SO_SNDBUF, &down, sizeof(down));
	if (c->rule->protocol == NET_TCP && conn_counts(c)) {
		c->up.allow = CONN_ALL;
		(void)conn_dial(c);
	}
}

bool conn_counts(struct conn *c)
{
	const char *why = limit_left(c->gateway, *c->listener->moved) > 0
				  ? limit_request(&c->gateway->limits, clock_now_ns())
				  : CONN_NO_BYTES;

	if (why) {
		conn_refuse(c, GATEWAY_DENY_LIMIT, why);
	}
	return !why;
}

static bool has_room(const struct gateway *g)
{
	size_t used = GATEWAY_FILES_REST + g->n_listeners + g->n_conns * GATEWAY_FILES_EACH;

	return g->n_conns < g->limits.connections && used + GATEWAY_FILES_EACH <= g->files;
}

static void add_conn(struct gateway *g, const struct listener *l, int fd)
{
	const struct destination *rule = rules_find(g, l->host, l->port);
	struct conn *c = rule && has_room(g) ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		(void)report_denial(g, rule ? GATEWAY_DENY_LIMIT : GATEWAY_DENY_DENIED, l->host,
				    l->port);
		reset_on_close(fd);
		(void)fd_close(fd);
		return;
	}
	*c = (struct conn){
		.gateway = g,
		.next = g->conns,
		.at = &g->conns,
		.state = CONN_JUDGE,
		.listener = l,
		.rule = rule,
		.inner = {.source = {fd, inner_ready}, .conn = c},
		.outer = {.source = {FD_NONE, NULL}, .conn = c},
		.up = {.pipe = {FD_NONE, FD_NONE}},
		.down = {.pipe = {FD_NONE, FD_NONE},
			 .allow = rule->protocol == NET_TLS ? 0 : CONN_ALL},
		.body = {.state = HTTP_BODY_OVER},
		.born_ns = clock_now_ns(),
	};
	c->state_ns = c->born_ns;
	if (g->conns) {
		g->conns->at = &c->next;
	}
	c->wide = g->n_wide < GATEWAY_WIDE;
	g->conns = c;
	g->conns_ns = g->n_conns++ == 0 ? c->born_ns : g->conns_ns;
	g->n_wide += c->wide;
	g->n_timed += is_timed(c);
	if (source_add(&g->sources, &c->inner.source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) <
	    0) {
		conn_end(c, GATEWAY_END_STOPPED, true);
		return;
	}
	begin(c);
}

void conn_accept(struct source *s, uint32_t events)
{
	const struct listener *l = (const struct listener *)s;
	/* One: where there is another, epoll says so again. To find out that there is none, the
	 * kernel would make a socket. */
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		add_conn(l->gateway, l, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* The host has none left. It would be offered again at once, and again. */
		(void)nanosleep(&(struct timespec){.tv_nsec = ACCEPT_PAUSE_NS}, NULL);
	}
}

/* ---- refusing ---- */

/* RFC 9457, RFC 6585. The words are ours, and a host's name that is canonical. */
static void say_http(struct conn *c, enum gateway_denial why, const char *detail, const char *id)
{
	static const char *const codes[GATEWAY_DENIALS] = {
		[GATEWAY_DENY_NAME] = "network.name",
		[GATEWAY_DENY_DENIED] = "network.denied",
		[GATEWAY_DENY_ADDRESS] = "network.address",
		[GATEWAY_DENY_PRIVATE] = "network.private",
		[GATEWAY_DENY_PROTOCOL] = "network.protocol",
		[GATEWAY_DENY_UDP] = "network.udp",
		[GATEWAY_DENY_LIMIT] = "network.limit",
	};
	bool limit = why == GATEWAY_DENY_LIMIT;
	char body[768], all[1280], again[48] = "";
	int n, m;

	n = snprintf(body, sizeof(body),
		     "{\"type\":\"about:blank\",\"title\":\"refused by the sandbox\",\"status\":%d,"
		     "\"code\":\"%s\",\"detail\":\"%s\",\"host\":\"%s\",\"port\":%u,"
		     "\"request_id\":\"%s\"}\n",
		     limit ? 429 : 403, codes[why], detail, c->listener->host,
		     (unsigned)c->listener->port, id);
	/* Bytes do not come back. */
	if (limit && limit_left(c->gateway, *c->listener->moved) > 0) {
		(void)snprintf(again, sizeof(again), "Retry-After: %u\r\n",
			       limit_pause(&c->gateway->limits, clock_now_ns()));
	}
	m = snprintf(all, sizeof(all),
		     "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\n%s"
		     "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
		     limit ? "429 Too Many Requests" : "403 Forbidden", again, n, body);
	conn_say(c, all, m > 0 && (size_t)m < sizeof(all) ? (size_t)m : 0);
}

void conn_refuse(struct conn *c, enum gateway_denial why, const char *detail)
{
	/* A fatal alert, access_denied (RFC 8446, 6.2). */
	static const char alert[] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 49};
	char id[GATEWAY_REQUEST_SIZE];

	(void)report_id(c->gateway,
			report_denial(c->gateway, why, c->listener->host, c->listener->port), id);
	/* Once something has come from the other side, or is asked of it, our words would be taken
	 * for its own. */
	if (c->down.moved == 0 && c->up.moved == 0 && c->up.held == 0 &&
	    c->rule->protocol == NET_HTTP) {
		say_http(c, why, detail, id);
	} else if (c->down.moved == 0 && c->rule->protocol == NET_TLS) {
		conn_say(c, alert, sizeof(alert));
	} else {
		conn_end(c, GATEWAY_END_REFUSED, true);
	}
}

bool conns_owe(const struct gateway *g)
{
	const struct conn *c = g->conns;

	while (c && (c->up.shut || c->state == CONN_LINGER)) {
		c = c->next;
	}
	return c != NULL;
}

void conns_end(struct gateway *g)
{
	/* What has been passed on to its end is not taken back: the kernel still sends it. */
	while (g->conns) {
		conn_end(g->conns, GATEWAY_END_STOPPED, !g->conns->up.shut);
	}
}

/* ---- time ---- */

bool conns_are_timed(const struct gateway *g)
{
	return g->n_timed > 0;
}

void conns_tick(struct gateway *g)
{
	int64_t now = clock_now_ns();
	struct conn *next;

	for (struct conn *c = g->conns; c; c = next) {
		next = c->next;
		if (time_of(c) == INT64_MAX || now - c->state_ns < time_of(c)) {
			continue;
		}
		if (c->state == CONN_DIAL) {
			source_close(&g->sources, &c->outer.source);
			(void)conn_dial(c);
		} else {
			conn_end(c, GATEWAY_END_REFUSED, c->state == CONN_JUDGE);
		}
	}
}
