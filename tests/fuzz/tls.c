/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hellos of TLS: however the bytes come in, there is one verdict, and it stays. The first byte says
 * whose they are, and how many come at a time; cut into records of other sizes they say the same.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good) {
		abort();
	}
}

static int hello(bool server, const uint8_t *bytes, size_t len, struct tls_hello *h)
{
	*h = (struct tls_hello){};
	return server ? tls_server_hello(bytes, len, &h->version) : tls_client_hello(bytes, len, h);
}

static void same(const struct tls_hello *a, const struct tls_hello *b)
{
	must(strcmp(a->name, b->name) == 0 && a->version == b->version && a->ech == b->ech);
}

/* The message of a good hello, in records of `piece` bytes. */
static void cut(bool server, const uint8_t *bytes, size_t len, size_t piece,
		const struct tls_hello *h)
{
	static uint8_t message[TLS_HELLO_MAX];   /* global: too long for a stack */
	static uint8_t other[2 * TLS_HELLO_MAX]; /* global: the same */
	size_t n = 0, whole = 4, out = 0;
	struct tls_hello now;

	for (size_t at = 0; n < whole; at += 5 + ((size_t)bytes[at + 3] << 8 | bytes[at + 4])) {
		size_t size = (size_t)bytes[at + 3] << 8 | bytes[at + 4];

		must(at + 5 <= len);
		size = size < len - at - 5 ? size : len - at - 5;
		memcpy(message + n, bytes + at + 5, size);
		n += size;
		whole = n < 4 ? 4 : 4 + ((size_t)message[2] << 8 | message[3]);
	}
	for (size_t at = 0; at < whole && out < TLS_HELLO_MAX; at += piece) {
		size_t size = whole - at < piece ? whole - at : piece;

		memcpy(other + out, (uint8_t[]){22, 3, 3, (uint8_t)(size >> 8), (uint8_t)size}, 5);
		memcpy(other + out + 5, message + at, size);
		out += 5 + size;
	}
	if (out <= TLS_HELLO_MAX) {
		must(hello(server, other, out, &now) >= 0);
		same(&now, h);
		must(hello(server, other, out - 1, &now) == -EAGAIN);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_hello whole, part;
	size_t piece, len, n = 0;
	bool server;
	int r, now;

	if (size < 1) {
		return 0;
	}
	server = data[0] & 1;
	piece = 1 + (size_t)(data[0] >> 1) % 64;
	len = size - 1;
	r = hello(server, data + 1, len, &whole);
	must(r == 0 || (server && r == 1) || r == -EAGAIN || r == -EPROTO || r == -E2BIG);
	do {
		n = n + piece < len ? n + piece : len;
		now = hello(server, data + 1, n, &part);
		must(now == r || now == -EAGAIN);
		if (now >= 0) {
			same(&part, &whole);
		}
	} while (now == -EAGAIN && n < len);
	must(now == r);
	if (r >= 0) {
		must(whole.version >> 8 == 3);
		for (const char *c = whole.name; *c; c++) {
			must(*c > ' ' && *c < 0x7f);
		}
		cut(server, data + 1, len, piece, &whole);
	}
	return 0;
}
