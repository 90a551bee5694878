/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) as lower-case hexadecimal text. */
#pragma once

#include <stddef.h>

#define DIGEST_HEX_SIZE 65 /* 64 digits and the terminator */

/* Writes the digest of `data` into `out`. Cannot fail. */
void digest_hex(const void *data, size_t len, char out[DIGEST_HEX_SIZE]);

/* The same piece by piece; what is in it is the library's. */
struct digest {
	_Alignas(8) unsigned char space[128];
};
void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, char out[DIGEST_HEX_SIZE]);

/* Of all that is in a file that was opened for reading. 0 or negative errno. */
int digest_file(int fd, char out[DIGEST_HEX_SIZE]);
