/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) as lower-case hexadecimal text. */
#pragma once

#include <stddef.h>

#define DIGEST_HEX_SIZE 65 /* 64 digits and the terminator */

/* Writes the digest of `data` into `out`. Cannot fail. */
void digest_hex(const void *data, size_t len, char out[DIGEST_HEX_SIZE]);
