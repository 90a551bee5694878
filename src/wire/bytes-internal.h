/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to foreign bytes: each read is checked against what is left. A read beyond the end
 * gives 0 or NULL, leaves nothing, and sets `broken` for good, so that a run of reads can be
 * checked once at its end, and a loop while something is left ends. Numbers are in network order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *at;
	size_t left;
	bool broken;
};

static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	const uint8_t *taken = b->at;

	if (b->broken || n > b->left) {
		b->broken = true;
		b->left = 0;
		return NULL;
	}
	b->at += n;
	b->left -= n;
	return taken;
}

static inline uint8_t bytes_u8(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 1);

	return p ? p[0] : 0;
}

static inline uint16_t bytes_u16(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

/* What follows and has this length, as a range of its own; an empty and broken one if it has not.
 */
static inline struct bytes bytes_range(struct bytes *b, size_t n)
{
	const uint8_t *p = bytes_take(b, n);

	return (struct bytes){p, p ? n : 0, !p};
}
