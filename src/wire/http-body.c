/* SPDX-License-Identifier: Apache-2.0 */
/* Where the body of a request ends: a count of bytes, or chunks (RFC 9112, 7.1) of the plainest
 * kind. */
#include "wire/http.h"

#include <errno.h>

/* Of a chunk's size, leading zeros included: `left` has place for one more. */
#define DIGITS_MAX 15

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void http_body_begin(struct http_body *b, const struct http_request *r)
{
	*b = (struct http_body){
		.state = r->chunked  ? HTTP_BODY_SIZE
			 : r->length ? HTTP_BODY_PLAIN
				     : HTTP_BODY_OVER,
		.left = r->chunked ? 0 : r->length,
	};
}

static enum http_body_state take_size(struct http_body *b, char c)
{
	int digit = hex(c);

	if (digit >= 0 && b->digits < DIGITS_MAX) {
		b->left = b->left << 4 | (unsigned)digit;
		b->digits++;
		return HTTP_BODY_SIZE;
	}
	return c == '\r' && b->digits > 0 ? HTTP_BODY_SIZE_LF : HTTP_BODY_BROKEN;
}

/* What stands around the bytes of a body, one byte at a time. */
static enum http_body_state take_byte(struct http_body *b, char c)
{
	switch (b->state) {
	case HTTP_BODY_SIZE:
		return take_size(b, c);
	case HTTP_BODY_SIZE_LF:
		return c != '\n' ? HTTP_BODY_BROKEN : b->left ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER;
	case HTTP_BODY_CHUNK_CR:
		return c == '\r' ? HTTP_BODY_CHUNK_LF : HTTP_BODY_BROKEN;
	case HTTP_BODY_CHUNK_LF:
		b->digits = 0;
		return c == '\n' ? HTTP_BODY_SIZE : HTTP_BODY_BROKEN;
	case HTTP_BODY_TRAILER:
		return c == '\r' ? HTTP_BODY_TRAILER_LF : HTTP_BODY_BROKEN;
	case HTTP_BODY_TRAILER_LF:
		return c == '\n' ? HTTP_BODY_OVER : HTTP_BODY_BROKEN;
	case HTTP_BODY_OVER:
	case HTTP_BODY_PLAIN:
	case HTTP_BODY_CHUNK:
	case HTTP_BODY_BROKEN:
		break;
	}
	return HTTP_BODY_BROKEN;
}

ssize_t http_body_take(struct http_body *b, const char *bytes, size_t len)
{
	size_t at = 0;

	while (at < len && b->state != HTTP_BODY_OVER && b->state != HTTP_BODY_BROKEN) {
		bool plain = b->state == HTTP_BODY_PLAIN;

		if (plain || b->state == HTTP_BODY_CHUNK) {
			size_t n = b->left < len - at ? (size_t)b->left : len - at;

			at += n;
			b->left -= n;
			if (b->left == 0) {
				b->state = plain ? HTTP_BODY_OVER : HTTP_BODY_CHUNK_CR;
			}
		} else {
			b->state = take_byte(b, bytes[at++]);
		}
	}
	return b->state == HTTP_BODY_BROKEN ? -EPROTO : (ssize_t)at;
}
