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

void digest_end(struct digest *d, char out[DIGEST_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[SHA256_DIGEST_SIZE];
	size_t i;

	sha256_digest(context(d), sizeof(raw), raw);
	for (i = 0; i < sizeof(raw); i++) {
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 15];
	}
	out[2 * sizeof(raw)] = '\0';
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
