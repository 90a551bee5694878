/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines each change adds and removes, as git diff --stat shows it: of what a patch has a
 * place for (patch.h), and by the lines that the patch has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes;
struct err;
struct patch_source;

struct patch_count {
	bool counted; /* a patch has a place for it */
	bool binary;  /* not compared line by line */
	uint64_t added, removed;
};

struct patch_stat {
	struct patch_count *list; /* one for each change */
	size_t files;             /* that are counted */
	uint64_t added, removed;
};

/* Counts, until nobody reads s->out any more. patch_stat_done() is due whatever this returns. */
int patch_stat_count(const struct patch_source *s, const struct changes *c, struct patch_stat *ret,
		     struct err *e);
void patch_stat_done(struct patch_stat *t);

/* One line for each change, within `width` columns, and their sum. */
void patch_stat_print(const struct patch_source *s, const struct changes *c,
		      const struct patch_stat *t, int width);
