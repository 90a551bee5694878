/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tree over the records of a trail (RFC 9162, 2.1), so that one record can be shown to be
 * among those that were signed without the others. Its entries are the 32 bytes of each line's
 * SHA-256: the leaf is SHA-256(0x00 entry), a node SHA-256(0x01 left right).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define MERKLE_DEPTH 64

/* A tree that grows at its end: the roots of the full trees that it consists of, the largest first.
 * All zeros is the empty one. */
struct merkle {
	uint64_t size; /* entries */
	uint8_t roots[MERKLE_DEPTH][DIGEST_SIZE];
};

void merkle_add(struct merkle *m, const uint8_t entry[DIGEST_SIZE]);

/* Of the empty tree it is the digest of nothing. */
void merkle_root(const struct merkle *m, uint8_t out[DIGEST_SIZE]);

/* What shows that an entry is in a tree: the roots beside its way up (RFC 9162, 2.1.3.1). */
struct merkle_proof {
	uint64_t index, size;
	size_t n;
	uint8_t path[MERKLE_DEPTH][DIGEST_SIZE];
};

/* Of the `index`-th of `size` entries, one behind the other. */
void merkle_prove(const uint8_t (*entries)[DIGEST_SIZE], uint64_t size, uint64_t index,
		  struct merkle_proof *ret);

/* True if the proof leads from the entry to this root (RFC 9162, 2.1.3.2). */
bool merkle_holds(const struct merkle_proof *p, const uint8_t entry[DIGEST_SIZE],
		  const uint8_t root[DIGEST_SIZE]);
