/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection begins with, against its rule. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mutant.h"
#include "gateway/conn.h"
#include "wire/tls.h"

/* The names of a client, in the one form; a destination that is an address has none. */
static bool is_same_host(const struct conn *c, const char *said)
{
	char host[HOST_SIZE];
	struct err ignored = {};

	return said[0] != '*' && hostname_canonical(said, host, &ignored) >= 0 &&
	       strcmp(host, c->listener->host) == 0;
}

/* What a client may send before its second hello: one record that means nothing, for middleboxes
 * (RFC 8446, D.4). How long it is, 0: it is not there. */
static size_t skip_record(const struct conn *c, const uint8_t *bytes, size_t len)
{
	static const uint8_t change[] = {0x14, 0x03, 0x03, 0x00, 0x01, 0x01};

	return c->hello == HELLO_AGAIN && len >= sizeof(change) &&
			       memcmp(bytes, change, sizeof(change)) == 0
		       ? sizeof(change)
		       : 0;
}

static const char *wrong_with_hello(const struct conn *c, const struct tls_hello *hello)
{
	if (MUTANT(ATOLL_MUTATE_EGRESS_SNI)) {
		return NULL;
	}
	if (hello->ech) {
		return "TLS hides which name is asked for (encrypted ClientHello)";
	}
	if (c->listener->name ? is_same_host(c, hello->name) : hello->name[0] == '\0') {
		return NULL;
	}
	return hello->name[0] ? "TLS asks for another name than was dialled"
			      : "TLS does not say which name it asks for (SNI)";
}

/* More has to come before anything can be said of it. It does not where the sandbox has closed its
 * direction: then what is there is nothing, but of what went before an answer may be on its way. */
static bool await_more(struct conn *c)
{
	if (c->inner.hup && c->state != CONN_CARRY) {
		conn_end(c, GATEWAY_END_CLOSED, false);
		return false;
	}
	c->up.eof = c->inner.hup;
	return true;
}

static bool judge_tls(struct conn *c, const uint8_t *bytes, size_t len)
{
	size_t skip = skip_record(c, bytes, len);
	struct tls_hello hello;
	const char *why = "the first bytes are not those of TLS";
	int r;

	if (c->hello == HELLO_SENT) {
		return true; /* the server has to answer first */
	}
	c->inner.readable = false; /* of one that is not whole, more has to come */
	if (c->hello == HELLO_AGAIN && len < 6) {
		return await_more(c);
	}
	r = tls_client_hello(bytes + skip, len - skip, &hello);
	if (r == -EAGAIN) {
		return await_more(c);
	}
	if (r < 0 || (why = wrong_with_hello(c, &hello))) {
		conn_refuse(c, GATEWAY_DENY_PROTOCOL, why);
		return false;
	}
	c->inner.readable = true;
	if (c->hello == HELLO_AGAIN) {
		c->hello = HELLO_DONE;
		c->up.allow = CONN_ALL;
		return true;
	}
	if (!conn_counts(c)) {
		return false;
	}
	c->hello = HELLO_SENT;
	c->up.allow = MUTANT(ATOLL_MUTATE_EGRESS_HELLO) ? CONN_ALL : hello.size;
	return conn_dial(c);
}

void conn_judge_answer(struct conn *c)
{
	uint8_t bytes[4096];
	ssize_t n = recv(c->outer.source.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	int r;

	if (n < 0 && errno == EAGAIN) {
		c->outer.readable = false;
		return;
	}
	r = n > 0 ? tls_server_hello(bytes, (size_t)n, &c->tls) : -EPROTO;
	if (r == -EAGAIN && n < (ssize_t)sizeof(bytes)) {
		c->outer.readable = false;
		return;
	}
	/* What is no hello, an alert or an end, is passed on; there is nothing to be said to that.
	 */
	c->down.allow = CONN_ALL;
	c->hello = r == 1 ? HELLO_AGAIN : HELLO_DONE;
	c->up.allow = r == 0 ? CONN_ALL : c->up.allow;
	if (r < 0) {
		c->up.eof = true;
	}
}

static const char *wrong_with(const struct conn *c, const struct http_request *r)
{
	if (MUTANT(ATOLL_MUTATE_EGRESS_HOST)) {
		return NULL;
	}
	if (r->connect) {
		return "a tunnel is asked for";
	}
	if (r->upgrade) {
		return "another protocol is asked for";
	}
	if (!is_same_host(c, r->host)) {
		return "the request is for another host than was dialled";
	}
	return r->port >= 0 && r->port != c->listener->port
		       ? "the request is for another port than was dialled"
		       : NULL;
}

/* The next request. */
static bool judge_head(struct conn *c, const char *bytes, size_t len)
{
	struct http_request request;
	const char *why = "the head of the request is too long";
	int r = http_request_head(bytes, len, &request, &why);

	if (r == -EAGAIN) {
		return await_more(c);
	}
	if (r < 0 || (why = wrong_with(c, &request))) {
		conn_refuse(c, GATEWAY_DENY_PROTOCOL, why);
		return false;
	}
	if (!conn_counts(c)) {
		return false;
	}
	c->up.allow = request.head;
	http_body_begin(&c->body, &request);
	if (!request.chunked) {
		/* All of it is the body, whatever it is. */
		c->up.allow += request.length;
		c->body.state = HTTP_BODY_OVER;
	}
	return c->state == CONN_JUDGE ? conn_dial(c) : true;
}

static bool judge_body(struct conn *c, const char *bytes, size_t len)
{
	ssize_t n = http_body_take(&c->body, bytes, len);

	if (n < 0) {
		conn_refuse(c, GATEWAY_DENY_PROTOCOL, "the body of the request cannot be followed");
		return false;
	}
	c->up.allow = (uint64_t)n;
	return true;
}

bool conn_judge(struct conn *c)
{
	char bytes[HTTP_HEAD_MAX];
	ssize_t n = recv(c->inner.source.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		c->inner.readable = false;
		return true;
	}
	if (n <= 0) {
		if (n == 0 && c->state == CONN_CARRY) {
			c->up.eof = true;
			return true;
		}
		conn_end(c, n < 0 ? GATEWAY_END_RESET : GATEWAY_END_CLOSED, n < 0);
		return false;
	}
	if (c->rule->protocol == NET_TLS) {
		return judge_tls(c, (const uint8_t *)bytes, (size_t)n);
	}
	if (c->body.state != HTTP_BODY_OVER) {
		return judge_body(c, bytes, (size_t)n);
	}
	/* Of one that has not all of its head yet, more has to come. */
	c->inner.readable = false;
	if (!judge_head(c, bytes, (size_t)n)) {
		return false;
	}
	c->inner.readable = c->up.allow > 0;
	return true;
}
