/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of HTTP requests behind each other: each head and body ends where it ends, whether
 * the bytes come at once or in pieces. The first byte says how long those are.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good) {
		abort();
	}
}

static void check_request(const struct http_request *r, size_t len)
{
	size_t n = strlen(r->host), end = n > 0 && r->host[0] == '[' ? n - 1 : n;

	must(r->head > 0 && r->head <= len && r->head <= HTTP_HEAD_MAX);
	must(n <= HTTP_HOST_MAX && (n > 0) == (strcmp(r->method, "PRI") != 0));
	must(strspn(r->host, end < n ? "[abcdef0123456789:."
				     : "abcdefghijklmnopqrstuvwxyz0123456789-_.") == end);
	must(end == n || r->host[end] == ']');
	must(r->port == -1 || (r->port > 0 && r->port < 65536));
	must(!r->chunked || r->length == 0);
	must(!r->connect || (!r->chunked && r->length == 0 && r->port > 0));
}

/* What is said of all of it, is said of a part or nothing is. */
static int head(const char *bytes, size_t len, size_t piece, struct http_request *ret)
{
	struct http_request part = {};
	const char *why = NULL, *unused;
	int r = http_request_head(bytes, len, ret, &why), now;
	size_t n = 0;

	must(r == 0 || r == -EAGAIN || r == -E2BIG || (r == -EPROTO && why && *why));
	do {
		n = n + piece < len ? n + piece : len;
		now = http_request_head(bytes, n, &part, &unused);
		must(now == r || now == -EAGAIN);
	} while (now == -EAGAIN && n < len);
	must(now == r);
	if (r == 0) {
		check_request(ret, len);
		must(part.head == ret->head && strcmp(part.host, ret->host) == 0);
		must(http_request_head(bytes, ret->head, &part, &unused) == 0);
		must(part.head == ret->head && part.port == ret->port);
		must(strcmp(part.host, ret->host) == 0 && part.length == ret->length);
		must(http_request_head(bytes, ret->head - 1, &part, &unused) == -EAGAIN);
	}
	return r;
}

/* How much of it is the body; negative: it is refused. */
static ssize_t body(const char *bytes, size_t len, size_t piece, const struct http_request *r,
		    struct http_body *b)
{
	struct http_body whole;
	ssize_t n = 0, all, taken = 0;

	http_body_begin(&whole, r);
	http_body_begin(b, r);
	all = http_body_take(&whole, bytes, len);
	must(all == -EPROTO || (all >= 0 && (size_t)all <= len));
	while (n >= 0 && (size_t)taken < len && b->state != HTTP_BODY_OVER) {
		size_t rest = len - (size_t)taken;

		n = http_body_take(b, bytes + taken, rest < piece ? rest : piece);
		taken += n > 0 ? n : 0;
	}
	must(n < 0 ? all == -EPROTO : all == taken);
	must(b->state == whole.state && b->left == whole.left);
	must(all < 0 || (size_t)all == len || b->state == HTTP_BODY_OVER);
	return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 1;
	struct http_request r;
	struct http_body b;
	size_t len, at = 0, piece;

	if (size < 1) {
		return 0;
	}
	piece = 1 + data[0] % 64;
	len = size - 1;
	while (at < len && head(bytes + at, len - at, piece, &r) == 0) {
		ssize_t n;

		at += r.head;
		n = body(bytes + at, len - at, piece, &r, &b);
		if (n < 0 || b.state != HTTP_BODY_OVER) {
			break;
		}
		at += (size_t)n;
	}
	return 0;
}
