/* SPDX-License-Identifier: Apache-2.0 */
/* Names as file systems see them that fold names. */
#include "base/fold.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fold-internal.h"
#include "base/utf8.h"

#define SYLLABLES   0xac00U /* of Hangul: each is two or three letters, by arithmetic */
#define N_SYLLABLES 11172U

/* Default_Ignorable_Code_Point: none to ext4 with casefold, and to HFS+ (CVE-2014-9390). */
static const struct fold_range ignorable[] = {
	{0xad, 0xad},       {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
	{0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},   {0x202a, 0x202e},
	{0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
	{0xffa0, 0xffa0},   {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};

/* The code point of a valid sequence. */
static uint32_t rune(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t value = len == 1 ? u[0] : u[0] & (0x7fU >> len);

	for (size_t i = 1; i < len; i++) {
		value = value << 6 | (u[i] & 0x3fU);
	}
	return value;
}

static bool in_ranges(const struct fold_range *r, size_t n, uint32_t value)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (value > r[middle].last) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < n && value >= r[low].first;
}

static bool is_mark(const char *s, size_t len)
{
	return len > 1 && in_ranges(fold_marks, fold_marks_count, rune(s, len));
}

size_t fold_character(const char *s, size_t len)
{
	size_t n = utf8_sequence(s, len), more;

	n = n > 0 ? n : 1;
	while ((more = utf8_sequence(s + n, len - n)) > 1 &&
	       (is_mark(s + n, more) ||
		in_ranges(fold_tails, fold_tails_count, rune(s + n, more)) ||
		in_ranges(ignorable, ARRAY_SIZE(ignorable), rune(s + n, more)))) {
		n += more;
	}
	return n;
}

static int by_rune(const void *key, const void *row)
{
	uint32_t value = *(const uint32_t *)key, from = ((const struct fold_row *)row)->from;

	return (value > from) - (value < from);
}

/* A folded name while it is written; from `marks` on there are combining characters only. */
struct folded {
	char *out;
	size_t n, marks;
};

/* Combining characters are kept in the order of their code points. */
static void put(struct folded *f, const char *s, size_t len)
{
	size_t at = f->n;

	if (is_mark(s, len)) {
		size_t next = f->marks;

		while (next < f->n) {
			size_t step = utf8_sequence(f->out + next, f->n - next);

			if (rune(f->out + next, step) > rune(s, len)) {
				break;
			}
			next += step;
		}
		at = next;
		memmove(f->out + at + len, f->out + at, f->n - at);
	}
	memcpy(f->out + at, s, len);
	f->n += len;
	if (!is_mark(s, len)) {
		f->marks = f->n;
	}
}

/* A letter of Hangul's own block, three bytes. */
static void put_letter(struct folded *f, uint32_t value)
{
	const char text[] = {(char)(0xe0 | value >> 12), (char)(0x80 | (value >> 6 & 0x3f)),
			     (char)(0x80 | (value & 0x3f))};

	put(f, text, sizeof(text));
}

static void put_syllable(struct folded *f, uint32_t index)
{
	put_letter(f, 0x1100 + index / 588);
	put_letter(f, 0x1161 + index % 588 / 28);
	if (index % 28 != 0) {
		put_letter(f, 0x11a7 + index % 28);
	}
}

static void put_rune(struct folded *f, const char *s, size_t len)
{
	uint32_t value = rune(s, len);
	const struct fold_row *row;

	if (in_ranges(ignorable, ARRAY_SIZE(ignorable), value)) {
		return;
	}
	if (value >= SYLLABLES && value < SYLLABLES + N_SYLLABLES) {
		put_syllable(f, value - SYLLABLES);
		return;
	}
	row = bsearch(&value, fold_rows, fold_rows_count, sizeof(*row), by_rune);
	if (!row) {
		put(f, s, len);
		return;
	}
	for (size_t i = 0, step; row->to[i]; i += step) {
		step = utf8_sequence(row->to + i, strlen(row->to + i));
		put(f, row->to + i, step);
	}
}

size_t fold_name(const char *s, size_t len, char *out)
{
	struct folded f = {.out = out};
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		step = utf8_sequence(s + i, len - i);
		if (step > 1) {
			put_rune(&f, s + i, step);
		} else {
			/* Not tolower(3): no locale has a say. */
			out[f.n++] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] - 'A' + 'a' : s[i]);
			f.marks = f.n;
			step = 1;
		}
	}
	out[f.n] = '\0';
	return f.n;
}
