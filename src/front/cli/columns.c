/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of a terminal. */
#include "front/cli/columns.h"

#include <stdint.h>

#include "base/cleanup.h"
#include "base/utf8.h"

/* Sorted; UAX #11 (East Asian Width W and F) and the general category Mn. */
static const struct {
	uint32_t first, last;
	size_t columns;
} ranges[] = {
	{0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},   {0x0610, 0x061a, 0},
	{0x064b, 0x065f, 0},   {0x093c, 0x093c, 0},   {0x0941, 0x0948, 0},   {0x0e34, 0x0e3a, 0},
	{0x0e47, 0x0e4e, 0},   {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},
	{0x200b, 0x200d, 0},   {0x20d0, 0x20f0, 0},   {0x2e80, 0x303e, 2},   {0x3041, 0x3247, 2},
	{0x3250, 0x4dbf, 2},   {0x4e00, 0xa4c6, 2},   {0xa960, 0xa97c, 2},   {0xac00, 0xd7a3, 2},
	{0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},   {0xfe10, 0xfe19, 2},   {0xfe20, 0xfe2f, 0},
	{0xfe30, 0xfe6b, 2},   {0xff01, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2},
	{0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
};

static uint32_t code_point(const char *s, size_t len)
{
	static const unsigned char head[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)s[0] & head[len];

	for (size_t i = 1; i < len; i++) {
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	return c;
}

static size_t width_of(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges) && c >= ranges[i].first; i++) {
		if (c <= ranges[i].last) {
			return ranges[i].columns;
		}
	}
	return 1;
}

/* Counts until `most` columns are full; the bytes that they are. */
static size_t count(const char *s, size_t len, size_t most, size_t *ret_columns)
{
	size_t at = 0, columns = 0;

	while (at < len && columns < most) {
		size_t n = utf8_sequence(s + at, len - at);

		/* A byte that belongs to no character is one. */
		columns += n > 0 ? width_of(code_point(s + at, n)) : 1;
		at += n > 0 ? n : 1;
	}
	*ret_columns = columns;
	return at;
}

size_t columns_of(const char *s, size_t len)
{
	size_t columns;

	(void)count(s, len, SIZE_MAX, &columns);
	return columns;
}

size_t columns_skip(const char *s, size_t len, size_t columns)
{
	size_t unused;

	return count(s, len, columns, &unused);
}
