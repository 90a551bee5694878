/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of fold.c, which scripts/fold-table writes while we build. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fold_row {
	uint32_t from;
	char to[13]; /* UTF-8, no longer than three times what it replaces */
};

struct fold_range {
	uint32_t first, last;
};

/* Sorted. */
extern const struct fold_row fold_rows[];
extern const size_t fold_rows_count;

/* Combining characters. */
extern const struct fold_range fold_marks[];
extern const size_t fold_marks_count;

/* Others that may be a part of the character before them. */
extern const struct fold_range fold_tails[];
extern const size_t fold_tails_count;
