/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by libnettle. */
#include "base/digest.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct digest) &&
		       _Alignof(struct sha256_ctx) <= 8,
	       "the library's state has its place in ours");

static struct sha256_ctx *context(struct digest *d)
{
	return (struct sha256_ctx *)(void *)d->space;
}

void digest_init(struct digest *d)
{
	sha256_init(context(d));
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	sha256_update(context(d), len, data);
}

void digest_end_raw(struct digest *d, uint8_t out[DIGEST_SIZE])
{
	sha256_digest(context(d), DIGEST_SIZE, out);
}

void hex_encode(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

/* Its value, or -1. Whether a digit is a letter cannot be guessed, so a branch for
 * that was a quarter of all that verifying a record took. */
static int digit(char c)
{
	/* one more than it; 0: it is none */
	static const uint8_t values[256] = {
		['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
		['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
		['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	};

	return values[(unsigned char)c] - 1;
}

bool hex_decode(const char *text, size_t len, uint8_t *out)
{
	for (size_t i = 0; i < len; i++) {
		int high = digit(text[2 * i]);
		int low = high < 0 ? -1 : digit(text[2 * i + 1]);

		if (low < 0) {
			return false;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void digest_end(struct digest *d, char out[DIGEST_HEX_SIZE])
{
	uint8_t raw[DIGEST_SIZE];

	digest_end_raw(d, raw);
	hex_encode(raw, sizeof(raw), out);
}

void digest_raw(const void *data, size_t len, uint8_t out[DIGEST_SIZE])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, data, len);
	digest_end_raw(&d, out);
}

void digest_hex(const void *data, size_t len, char out[DIGEST_HEX_SIZE])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, data, len);
	digest_end(&d, out);
}

int digest_file(int fd, char out[DIGEST_HEX_SIZE])
{
	char chunk[65536];
	struct digest d;
	off_t at = 0;

	digest_init(&d);
	for (;;) {
		ssize_t n = pread(fd, chunk, sizeof(chunk), at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		digest_add(&d, chunk, (size_t)n);
		at += n;
	}
	digest_end(&d, out);
	return 0;
}
