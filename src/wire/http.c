/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of HTTP/1.1 requests.
 *
 * TRUST: all bytes are the payload's, and a server reads them after us. What it could take for
 * something else than we did is where one request hides in another (RFC 9112, 11.2), or one host
 * behind another; so the grammar here is the narrowest that real clients need, and there is no
 * repair. A head is read line by line from its beginning; what is refused is refused as soon as its
 * line, or the byte that no line has, is there, so that more bytes never change a verdict.
 */
#include "wire/http.h"

#include <errno.h>
#include <string.h>

#include "wire/http-internal.h"

struct head {
	struct span bytes;
	size_t at;
	struct http_request r;
	struct http_authority target, field;
	bool old; /* HTTP/1.0 */
	unsigned seen;
	const char *why;
};

static int refuse(struct head *h, const char *why)
{
	h->why = why;
	return -EPROTO;
}

/* RFC 9110, 5.6.2. */
static bool is_token(char c)
{
	return is_letter(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

static struct span trim(struct span s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s = behind(s, 1);
	}
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t')) {
		s.len--;
	}
	return s;
}

/* The next line, without its end. -EAGAIN: it is not all there. */
static int take_line(struct head *h, struct span *ret)
{
	struct span rest = behind(h->bytes, h->at);

	for (size_t i = 0; i < rest.len; i++) {
		unsigned char c = (unsigned char)rest.at[i];

		if (c == '\r' && i + 1 == rest.len) {
			return -EAGAIN;
		}
		if (c == '\r' && rest.at[i + 1] == '\n') {
			*ret = (struct span){rest.at, i};
			h->at += i + 2;
			return 0;
		}
		if (c == '\r' || c == '\n') {
			return refuse(h, "a line ends with CR or LF alone");
		}
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			return refuse(h, "there is a control byte in it");
		}
	}
	return -EAGAIN;
}

/* The method is looked at before its line is complete: what is no HTTP at all says so here. */
static int take_method(struct head *h)
{
	size_t n = 0;

	while (n < h->bytes.len && n < sizeof(h->r.method) &&
	       ((h->bytes.at[n] >= 'A' && h->bytes.at[n] <= 'Z') ||
		(n > 0 && h->bytes.at[n] == '-'))) {
		n++;
	}
	if (n == h->bytes.len && n < sizeof(h->r.method)) {
		return -EAGAIN;
	}
	if (n == 0 || n == sizeof(h->r.method) || h->bytes.at[n] != ' ') {
		return refuse(h, "it does not begin with a method");
	}
	memcpy(h->r.method, h->bytes.at, n);
	h->at = n + 1;
	return 0;
}

/* RFC 9112, 3.2: each form for what it is for. */
static int take_target(struct head *h, struct span t)
{
	bool connect = strcmp(h->r.method, "CONNECT") == 0;

	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] <= ' ' || t.at[i] > '~' || t.at[i] == '#') {
			return refuse(h, "a byte of its target has no place there");
		}
	}
	h->r.connect = connect;
	if (connect) {
		return http_authority(t, &h->target) && h->target.port > 0
			       ? 0
			       : refuse(h, "CONNECT needs a host and a port");
	}
	if (begins(t, "http://")) {
		t = behind(t, strlen("http://"));
		t.len = until(t, "/?");
		return http_authority(t, &h->target) ? 0
						     : refuse(h, "the host of its target is none");
	}
	if (begins(t, "/") || (is(t, "*") && strcmp(h->r.method, "OPTIONS") == 0)) {
		return 0;
	}
	return refuse(h, "its target is of no form that it may have");
}

/* 1: HTTP/2 follows (RFC 9113, 3.4), and this is no request. */
static int take_request_line(struct head *h)
{
	struct span line, version;
	int r = take_method(h);
	size_t n;

	r = r < 0 ? r : take_line(h, &line);
	if (r < 0) {
		return r;
	}
	n = until(line, " ");
	version = behind(line, n < line.len ? n + 1 : n);
	if (strcmp(h->r.method, "PRI") == 0) {
		return line.len == 10 && memcmp(line.at, "* HTTP/2.0", 10) == 0
			       ? 1
			       : refuse(h, "PRI is only for HTTP/2");
	}
	if (version.len != 8 || memcmp(version.at, "HTTP/1.", 7) != 0 ||
	    (version.at[7] != '0' && version.at[7] != '1')) {
		return refuse(h, "its version is neither HTTP/1.1 nor HTTP/1.0");
	}
	h->old = version.at[7] == '0';
	return take_target(h, (struct span){line.at, n});
}

enum field { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, CONNECTION, UPGRADE, FIELDS };

/* The field of this name, or one that some take for it: gateways that pass fields on as variables
 * of an environment write '_' for '-'. */
static enum field find_field(struct span name, bool *ret_exact)
{
	static const char *const names[] = {
		[HOST] = "host",
		[CONTENT_LENGTH] = "content-length",
		[TRANSFER_ENCODING] = "transfer-encoding",
		[EXPECT] = "expect",
		[CONNECTION] = "connection",
		[UPGRADE] = "upgrade",
	};
	char dashed[24];
	int f = HOST;

	if (name.len >= sizeof(dashed)) {
		return FIELDS;
	}
	for (size_t i = 0; i < name.len; i++) {
		dashed[i] = name.at[i] == '_' ? '-' : name.at[i];
	}
	while (f < FIELDS && !is((struct span){dashed, name.len}, names[f])) {
		f++;
	}
	*ret_exact = until(name, "_") == name.len;
	return (enum field)f;
}

/* What Connection names is for the next hop alone; it is not for a client to take away what says
 * whom a request is for, and where it ends (RFC 9110, 7.6.1). */
static int check_connection(struct head *h, struct span value)
{
	bool exact;

	while (value.len > 0) {
		size_t n = until(value, ",");

		if (find_field(trim((struct span){value.at, n}), &exact) <= TRANSFER_ENCODING) {
			return refuse(h, "Connection names a field that has to stay");
		}
		value = behind(value, n < value.len ? n + 1 : n);
	}
	return 0;
}

static int take_value(struct head *h, enum field f, struct span value)
{
	switch (f) {
	case HOST:
		return http_authority(value, &h->field) ? 0 : refuse(h, "Host is no host");
	case CONTENT_LENGTH:
		return http_number(value, INT64_MAX, &h->r.length)
			       ? 0
			       : refuse(h, "Content-Length is no length");
	case TRANSFER_ENCODING:
		h->r.chunked = true;
		return is(value, "chunked") ? 0 : refuse(h, "its coding is not chunked");
	case EXPECT:
		h->r.expect = true;
		return is(value, "100-continue") ? 0 : refuse(h, "it expects what nobody knows");
	case CONNECTION:
		return check_connection(h, value);
	case UPGRADE:
		h->r.upgrade = true;
		return 0;
	case FIELDS:
		break;
	}
	return 0;
}

static int take_field(struct head *h, struct span line)
{
	bool exact = true;
	enum field f;
	size_t n = 0;

	while (n < line.len && is_token(line.at[n])) {
		n++;
	}
	if (n == 0 || n == line.len || line.at[n] != ':') {
		return refuse(h, n == 0 && (line.at[0] == ' ' || line.at[0] == '\t')
					 ? "a line is folded"
				 : n < line.len && (line.at[n] == ' ' || line.at[n] == '\t')
					 ? "a blank stands before a colon"
					 : "a line is no field");
	}
	f = find_field((struct span){line.at, n}, &exact);
	if (f < FIELDS && !exact) {
		return refuse(h, "a field has a name that some take for another");
	}
	if (f < CONNECTION && h->seen & 1U << f) {
		return refuse(h, "a field that may be there once is there twice");
	}
	h->seen |= 1U << f;
	return take_value(h, f, trim(behind(line, n + 1)));
}

/* What the fields and the target say together. */
static int settle(struct head *h)
{
	bool sized = h->seen & 1U << CONTENT_LENGTH;
	int port = h->target.port, other = h->field.port;

	if (h->r.chunked && (sized || h->old)) {
		return refuse(h, sized ? "it has Content-Length and Transfer-Encoding"
				       : "HTTP/1.0 has no Transfer-Encoding");
	}
	if (h->r.connect && (h->r.chunked || h->r.length > 0)) {
		return refuse(h, "CONNECT has no body");
	}
	/* Old clients ask proxies without it, and name the host in the target. */
	if (!h->field.host[0] && (!h->old || !h->target.host[0])) {
		return refuse(h, "Host is missing");
	}
	if (!h->r.connect) {
		port = port < 0 ? 80 : port;
		other = other < 0 ? 80 : other;
	}
	if (h->field.host[0] && h->target.host[0] &&
	    (strcmp(h->field.host, h->target.host) != 0 || (other > 0 && other != port))) {
		return refuse(h, "its target and Host name different hosts");
	}
	h->r.port = h->target.port > 0 ? h->target.port : h->field.port;
	memcpy(h->r.host, h->target.host[0] ? h->target.host : h->field.host, sizeof(h->r.host));
	return 0;
}

static int take_head(struct head *h)
{
	int r = take_request_line(h);
	bool other = r > 0;
	struct span line;

	while (r >= 0) {
		r = take_line(h, &line);
		if (r < 0 || line.len == 0) {
			break;
		}
		r = other ? refuse(h, "PRI is only for HTTP/2") : take_field(h, line);
	}
	if (r < 0) {
		return r;
	}
	h->r.head = h->at;
	h->r.upgrade = h->r.upgrade || other;
	return other ? 0 : settle(h);
}

int http_request_head(const char *bytes, size_t len, struct http_request *ret, const char **ret_why)
{
	struct head h = {
		.bytes = {bytes, len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX},
		.r.port = -1,
		.target.port = -1,
		.field.port = -1,
	};
	int r = take_head(&h);

	if (r == 0) {
		*ret = h.r;
	} else if (r == -EPROTO) {
		*ret_why = h.why;
	}
	return r == -EAGAIN && len >= HTTP_HEAD_MAX ? -E2BIG : r;
}
