/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by libnettle. */
#include "base/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>

void digest_hex(const void *data, size_t len, char out[DIGEST_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	struct sha256_ctx ctx;
	uint8_t raw[SHA256_DIGEST_SIZE];
	size_t i;

	sha256_init(&ctx);
	sha256_update(&ctx, len, data);
	sha256_digest(&ctx, sizeof(raw), raw);
	for (i = 0; i < sizeof(raw); i++) {
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 15];
	}
	out[2 * sizeof(raw)] = '\0';
}
