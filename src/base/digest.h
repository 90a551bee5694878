/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), as bytes and as lower-case hexadecimal text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE     32
#define DIGEST_HEX_SIZE 65 /* 64 digits and the terminator */

/* Writes the digest of `data` into `out`. Cannot fail. */
void digest_hex(const void *data, size_t len, char out[DIGEST_HEX_SIZE]);
void digest_raw(const void *data, size_t len, uint8_t out[DIGEST_SIZE]);

/* Bytes as text; out has room for 2 * len + 1. */
void hex_encode(const uint8_t *bytes, size_t len, char *out);

/* Text of exactly 2 * len digits in lower case, which nothing has to follow, as bytes. */
bool hex_decode(const char *text, size_t len, uint8_t *out);

/* The same piece by piece; what is in it is the library's. */
struct digest {
	_Alignas(8) unsigned char space[128];
};
void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, char out[DIGEST_HEX_SIZE]);
void digest_end_raw(struct digest *d, uint8_t out[DIGEST_SIZE]);

/* Of all that is in a file that was opened for reading. 0 or negative errno. */
int digest_file(int fd, char out[DIGEST_HEX_SIZE]);
