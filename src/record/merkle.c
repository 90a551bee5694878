/* SPDX-License-Identifier: Apache-2.0 */
/* The hash tree of RFC 9162 over digests. */
#include "record/merkle.h"

#include <string.h>

static void leaf(const uint8_t entry[DIGEST_SIZE], uint8_t out[DIGEST_SIZE])
{
	uint8_t bytes[1 + DIGEST_SIZE] = {0};

	memcpy(bytes + 1, entry, DIGEST_SIZE);
	digest_raw(bytes, sizeof(bytes), out);
}

/* `out` may be one of the two. */
static void node(const uint8_t left[DIGEST_SIZE], const uint8_t right[DIGEST_SIZE],
		 uint8_t out[DIGEST_SIZE])
{
	uint8_t bytes[1 + 2 * DIGEST_SIZE] = {1};

	memcpy(bytes + 1, left, DIGEST_SIZE);
	memcpy(bytes + 1 + DIGEST_SIZE, right, DIGEST_SIZE);
	digest_raw(bytes, sizeof(bytes), out);
}

/* How many full trees a tree of this size consists of. */
static size_t count_roots(uint64_t size)
{
	return (size_t)__builtin_popcountll(size);
}

void merkle_add(struct merkle *m, const uint8_t entry[DIGEST_SIZE])
{
	size_t n = count_roots(m->size);
	uint64_t carry;

	leaf(entry, m->roots[n++]);
	for (carry = m->size; carry & 1; carry >>= 1, n--) {
		node(m->roots[n - 2], m->roots[n - 1], m->roots[n - 2]);
	}
	m->size++;
}

void merkle_root(const struct merkle *m, uint8_t out[DIGEST_SIZE])
{
	size_t n = count_roots(m->size);

	if (n == 0) {
		digest_raw("", 0, out);
		return;
	}
	memcpy(out, m->roots[n - 1], DIGEST_SIZE);
	for (n--; n > 0; n--) {
		node(m->roots[n - 1], out, out);
	}
}

static void root_of(const uint8_t (*entries)[DIGEST_SIZE], uint64_t size, uint8_t out[DIGEST_SIZE])
{
	struct merkle m = {};

	for (uint64_t i = 0; i < size; i++) {
		merkle_add(&m, entries[i]);
	}
	merkle_root(&m, out);
}

/* The largest power of two below the size, which is at least 2. */
static uint64_t split(uint64_t size)
{
	return 1ULL << (63 - __builtin_clzll(size - 1));
}

void merkle_prove(const uint8_t (*entries)[DIGEST_SIZE], uint64_t size, uint64_t index,
		  struct merkle_proof *ret)
{
	*ret = (struct merkle_proof){.index = index, .size = size};
	/* From the root down; the path is read from the leaf up. */
	while (size > 1) {
		uint64_t k = split(size);
		bool left = index < k;

		root_of(left ? entries + k : entries, left ? size - k : k, ret->path[ret->n++]);
		entries = left ? entries : entries + k;
		index = left ? index : index - k;
		size = left ? k : size - k;
	}
	for (size_t i = 0; i < ret->n / 2; i++) {
		uint8_t swap[DIGEST_SIZE];

		memcpy(swap, ret->path[i], DIGEST_SIZE);
		memcpy(ret->path[i], ret->path[ret->n - 1 - i], DIGEST_SIZE);
		memcpy(ret->path[ret->n - 1 - i], swap, DIGEST_SIZE);
	}
}

bool merkle_holds(const struct merkle_proof *p, const uint8_t entry[DIGEST_SIZE],
		  const uint8_t root[DIGEST_SIZE])
{
	uint64_t at = p->index, last = p->size - 1;
	uint8_t hash[DIGEST_SIZE];

	if (p->index >= p->size || p->n > MERKLE_DEPTH) {
		return false;
	}
	leaf(entry, hash);
	for (size_t i = 0; i < p->n; i++, at >>= 1, last >>= 1) {
		if (last == 0) {
			return false;
		}
		if (!(at & 1) && at < last) {
			node(hash, p->path[i], hash);
			continue;
		}
		node(p->path[i], hash, hash);
		/* The last of its row goes up alone until it is a right one. */
		while (at && !(at & 1)) {
			at >>= 1;
			last >>= 1;
		}
	}
	return last == 0 && memcmp(hash, root, DIGEST_SIZE) == 0;
}
