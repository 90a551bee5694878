/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's name server.
 *
 * Theory of operation. A question is parsed (wire/dns.h), its name made canonical, and looked for
 * in the rules. What no rule names gets NXDOMAIN with the reason, at once, and nobody outside hears
 * of it. What one names is made known (names.h): once it has listeners and leads somewhere, the
 * answer is the address that stands for it. Types but A get an empty answer: there is no IPv6
 * address for a name, and no HTTPS record, whose keys would hide from us which name is asked for
 * (RFC 9849). A question that waits is kept in a slot; without a free one it is not answered, and
 * the stub resolver asks again.
 */
#include "gateway/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateway/gateway.h"
#include "gateway/names.h"
#include "gateway/rules.h"
#include "wire/dns.h"

#define SLOTS        256
#define STREAMS      16
#define TURN         64 /* datagrams in one turn */
#define TTL          60 /* seconds: the address stands for the name as long as the sandbox lives */
#define TTL_NO       5
#define QUESTION_MAX 512 /* bytes of a question: a name, and an OPT record */
#define STREAM_NS    (10 * 1000000000LL)

/* A connection of TCP: one question after the other. */
struct stream {
	struct source source; /* first */
	struct server *server;
	uint8_t in[2 + QUESTION_MAX];
	size_t have;
	bool waits;   /* for the answer to a question */
	bool running; /* its questions are being taken */
	int64_t touched_ns;
};

struct slot {
	struct server *server;
	bool used;
	struct dns_question question;
	struct name *name;
	struct stream *stream; /* NULL: UDP, and this is who asked */
	struct sockaddr_in peer;
};

struct udp_source {
	struct source source; /* first */
	struct server *server;
};

struct server {
	struct gateway *gateway;
	struct udp_source udp, tcp;
	struct slot slots[SLOTS];
	struct stream streams[STREAMS];
};

/* ---- answering ---- */

static void stream_close(struct stream *st)
{
	struct server *s = st->server;

	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i].used && s->slots[i].stream == st) {
			name_forget(s->slots[i].name, &s->slots[i]);
			s->slots[i].used = false;
		}
	}
	source_close(&s->gateway->sources, &st->source);
}

/* A reader that does not take so little at once is none. */
static void stream_send(struct stream *st, const uint8_t *bytes, size_t len)
{
	uint8_t out[2 + DNS_UDP_MAX] = {(uint8_t)(len >> 8), (uint8_t)len};

	memcpy(out + 2, bytes, len);
	st->waits = false;
	if (send(st->source.fd, out, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len + 2) {
		stream_close(st);
	}
}

static void answer(struct server *s, const struct dns_question *q, const struct dns_answer *a,
		   struct stream *st, const struct sockaddr_in *peer)
{
	uint8_t out[DNS_UDP_MAX];
	size_t len = dns_write(q, a, out, st ? sizeof(out) : q->udp_size);

	if (st) {
		stream_send(st, out, len);
	} else if (len > 0) {
		/* Where there is no room the question is asked again. */
		(void)sendto(s->udp.source.fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (const struct sockaddr *)peer, sizeof(*peer));
	}
}

static bool leads_somewhere(const struct name *n)
{
	return n->resolved.status == 0 && n->state == NAME_OPEN;
}

static void stream_run(struct stream *st);

/* What the sandbox is told of a name that a rule allows. */
static struct dns_answer answer_for(const struct name *n, uint16_t type, struct in_addr *a)
{
	struct dns_answer out = {.ttl = TTL, .ede = DNS_EDE_NONE};

	if (n->resolved.status == -ENOENT) {
		out.rcode = DNS_NXDOMAIN;
		out.ttl = TTL_NO;
	} else if (!leads_somewhere(n)) {
		out = (struct dns_answer){
			.rcode = DNS_SERVFAIL,
			.ede = n->error ? DNS_EDE_OTHER : DNS_EDE_NO_REACHABLE,
			.ede_text = n->error ? "the gateway cannot listen for this name"
					     : "the name servers of the host do not answer"};
	} else if (type == DNS_A) {
		a->s_addr = htonl(n->address);
		out.a = a;
	}
	return out;
}

static void known(void *arg, struct name *n)
{
	struct slot *slot = arg;
	struct in_addr a;
	struct dns_answer out = answer_for(n, slot->question.type, &a);

	struct stream *st = slot->stream;

	slot->used = false;
	answer(slot->server, &slot->question, &out, st, &slot->peer);
	if (st && !st->running) {
		stream_run(st);
	}
}

static struct slot *take_slot(struct server *s)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (!s->slots[i].used) {
			return &s->slots[i];
		}
	}
	return NULL;
}

/* ---- judging ---- */

static void deny(struct server *s, const struct dns_question *q, bool denied, const char *detail,
		 struct stream *st, const struct sockaddr_in *peer)
{
	char text[288], id[GATEWAY_REQUEST_SIZE];
	struct dns_answer out = {
		.rcode = DNS_NXDOMAIN, .ttl = TTL_NO, .ede = DNS_EDE_PROHIBITED, .ede_text = text};

	/* The root, and a name of which nothing can be shown. */
	(void)report_id(s->gateway,
			report_denial(s->gateway, denied ? GATEWAY_DENY_DENIED : GATEWAY_DENY_NAME,
				      q->name[0] ? q->name : ".", 0),
			id);
	(void)snprintf(text, sizeof(text), "network.%s: %s%s%s", denied ? "denied" : "name", detail,
		       id[0] ? "; request " : "", id);
	answer(s, q, &out, st, peer);
}

/* "4.1.18.198.in-addr.arpa": the address of one of our names. */
static const struct name *reverse(struct server *s, const char *text)
{
	uint32_t address = 0;

	for (unsigned part = 0; part < 4; part++) {
		unsigned n = 0, digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++) {
			n = n * 10 + (unsigned)(*text - '0');
		}
		if (digits == 0 || n > 255 || *text++ != '.') {
			return NULL;
		}
		address |= (uint32_t)n << (8 * part);
	}
	return strcmp(text, "in-addr.arpa") == 0 ? names_by_address(s->gateway, address) : NULL;
}

static void ask_reverse(struct server *s, const struct dns_question *q, struct stream *st,
			const struct sockaddr_in *peer)
{
	const struct name *n = reverse(s, q->name);
	struct dns_answer out = {.rcode = n ? DNS_NOERROR : DNS_NXDOMAIN,
				 .ttl = n ? TTL : TTL_NO,
				 .ptr = n ? n->host : NULL,
				 .ede = DNS_EDE_NONE};

	answer(s, q, &out, st, peer);
}

static void ask(struct server *s, const struct dns_question *q, struct stream *st,
		const struct sockaddr_in *peer)
{
	char host[HOST_SIZE];
	struct err why = {};
	const char *limit = NULL;
	struct slot *slot;
	bool denied;
	struct name *n;

	if (q->type == DNS_PTR) {
		ask_reverse(s, q, st, peer);
		return;
	}
	if (!q->plain || q->name[0] == '*' || hostname_canonical(q->name, host, &why) < 0) {
		deny(s, q, false, "this is no name of a host", st, peer);
		return;
	}
	denied = rules_deny(s->gateway, host);
	n = names_get(s->gateway, host, &limit);
	if (!n) {
		deny(s, q, denied,
		     limit    ? limit
		     : denied ? "network.deny names this host"
			      : "no rule of network.allow names this host",
		     st, peer);
		return;
	}
	slot = take_slot(s);
	if (!slot) {
		if (st) {
			stream_close(st);
		}
		return;
	}
	*slot = (struct slot){s, true, *q, n, st, peer ? *peer : (struct sockaddr_in){}};
	if (st) {
		st->waits = true;
	}
	if (name_await(s->gateway, n, true, known, slot) < 0) {
		slot->used = false;
		if (st) {
			stream_close(st); /* by TCP nobody asks again */
		}
	}
}

static void take(struct server *s, const uint8_t *bytes, size_t len, struct stream *st,
		 const struct sockaddr_in *peer)
{
	struct dns_question q;
	int r = dns_parse(bytes, len, &q);

	if (r > 0) {
		answer(s, &q, &(struct dns_answer){.rcode = (enum dns_rcode)r, .ede = DNS_EDE_NONE},
		       st, peer);
	} else if (r == 0) {
		ask(s, &q, st, peer);
	} else if (st) {
		stream_close(st);
	}
}

/* ---- sockets ---- */

static void udp_ready(struct source *source, uint32_t events)
{
	struct server *s = ((struct udp_source *)source)->server;

	(void)events;
	for (int i = 0; i < TURN; i++) {
		uint8_t in[QUESTION_MAX + 1];
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(source->fd, in, sizeof(in), MSG_DONTWAIT,
				     (struct sockaddr *)&peer, &len);

		if (n < 0) {
			return;
		}
		if (n <= QUESTION_MAX && len == sizeof(peer)) {
			take(s, in, (size_t)n, NULL, &peer);
		}
	}
}

/* The questions that are whole; each waits for the answer to the one before. */
static void stream_run(struct stream *st)
{
	st->running = true;
	while (st->source.fd >= 0 && !st->waits && st->have >= 2) {
		size_t len = (size_t)st->in[0] << 8 | st->in[1];
		uint8_t one[QUESTION_MAX];

		if (len > QUESTION_MAX) {
			stream_close(st);
			break;
		}
		if (st->have < len + 2) {
			break;
		}
		memcpy(one, st->in + 2, len);
		st->have -= len + 2;
		memmove(st->in, st->in + 2 + len, st->have);
		take(st->server, one, len, st, NULL);
	}
	st->running = false;
}

static void stream_ready(struct source *source, uint32_t events)
{
	struct stream *st = (struct stream *)source;
	ssize_t n;

	(void)events;
	if (st->have == sizeof(st->in)) {
		stream_close(st); /* it asks on without waiting for answers */
		return;
	}
	n = recv(source->fd, st->in + st->have, sizeof(st->in) - st->have, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		stream_close(st);
		return;
	}
	st->touched_ns = clock_now_ns();
	st->have += n > 0 ? (size_t)n : 0;
	stream_run(st);
}

static void tcp_ready(struct source *source, uint32_t events)
{
	struct server *s = ((struct udp_source *)source)->server;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	for (size_t i = 0; fd >= 0 && i < STREAMS; i++) {
		struct stream *st = &s->streams[i];

		if (st->source.fd >= 0) {
			continue;
		}
		*st = (struct stream){.source = {TAKE_FD(fd), stream_ready},
				      .server = s,
				      .touched_ns = clock_now_ns()};
		if (source_add(&s->gateway->sources, &st->source, EPOLLIN) < 0) {
			st->source.fd = fd_close(st->source.fd);
		}
	}
	(void)fd_close(fd);
}

void server_tick(struct server *s)
{
	int64_t before = clock_now_ns() - STREAM_NS;

	for (size_t i = 0; i < STREAMS; i++) {
		if (s->streams[i].source.fd >= 0 && s->streams[i].touched_ns < before) {
			stream_close(&s->streams[i]);
		}
	}
}

struct server *server_new(struct gateway *g, int udp, int tcp)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)fd_close(udp);
		(void)fd_close(tcp);
		return NULL;
	}
	s->gateway = g;
	s->udp = (struct udp_source){{udp, udp_ready}, s};
	s->tcp = (struct udp_source){{tcp, tcp_ready}, s};
	for (size_t i = 0; i < STREAMS; i++) {
		s->streams[i].source.fd = FD_NONE;
	}
	return source_add(&g->sources, &s->udp.source, EPOLLIN) < 0 ||
			       source_add(&g->sources, &s->tcp.source, EPOLLIN) < 0
		       ? NULL
		       : s;
}
