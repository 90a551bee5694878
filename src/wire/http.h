/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of HTTP/1.1 requests (RFC 9112, RFC 9110), and how long their bodies are: enough to
 * know for which host each of the requests of a connection is, and where the next one begins. No
 * input or output. Whatever two readers could take in two ways is refused: a bare LF or CR, folded
 * lines, blanks before a colon, more than one Host or Content-Length, Content-Length beside
 * Transfer-Encoding, codings but "chunked", chunk extensions, trailers, a target that names another
 * host, userinfo, percent-encoding in a host, fragments, Content_Length.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEAD_MAX 32768 /* of a request, in bytes */
#define HTTP_HOST_MAX 255   /* a name, and what stands around it */

struct http_request {
	char method[24]; /* upper-case letters, and '-' in WebDAV's */
	/*
	 * Of Host, or of a target that names it: in lower case, no port; a name's letters, digits,
	 * '-', '.' and '_', or an IPv6 address in brackets. Neither is brought into the one form
	 * that it should have. "": another protocol begins here (PRI).
	 */
	char host[HTTP_HOST_MAX + 1];
	int port;     /* -1: none is said */
	bool connect; /* CONNECT, which asks for a tunnel; there is a port */
	bool upgrade; /* Upgrade, or "PRI": another protocol is to follow */
	bool expect;  /* Expect: 100-continue */
	bool chunked;
	uint64_t length; /* of the body, where it is not chunked */
	size_t head;     /* bytes of the head, its empty line included */
};

/*
 * From what there is of a connection, which begins with a request: 0 and all of *ret; -EAGAIN: more
 * bytes are needed; -EPROTO with *ret_why a sentence without a full stop; -E2BIG: the head is
 * longer than HTTP_HEAD_MAX. Whatever it says but -EAGAIN, it also says with more bytes. HTTP/1.0
 * may leave Host out where its target names the host. The port of a tunnel, or of an absolute
 * target, is that of the target.
 */
int http_request_head(const char *bytes, size_t len, struct http_request *ret,
		      const char **ret_why);

/* Where in a body one is. */
struct http_body {
	enum http_body_state {
		HTTP_BODY_OVER,
		HTTP_BODY_PLAIN, /* `left` bytes */
		HTTP_BODY_SIZE,  /* of a chunk: its hexadecimal digits */
		HTTP_BODY_SIZE_LF,
		HTTP_BODY_CHUNK, /* `left` bytes */
		HTTP_BODY_CHUNK_CR,
		HTTP_BODY_CHUNK_LF,
		HTTP_BODY_TRAILER, /* only the empty line: there are no trailers */
		HTTP_BODY_TRAILER_LF,
		HTTP_BODY_BROKEN, /* for good */
	} state;
	uint64_t left;
	unsigned digits;
};

void http_body_begin(struct http_body *b, const struct http_request *r);

/* Takes bytes of the body, and says how many of them belong to it (the rest is the next request);
 * b->state tells whether it is over. -EPROTO: nothing of this connection can be trusted any more.
 */
ssize_t http_body_take(struct http_body *b, const char *bytes, size_t len);
