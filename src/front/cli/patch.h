/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes as a patch that `git apply` and patch(1) take, line by line. The lines are found as
 * compare.h has it; what git's format says beside them (modes, names, links, renames) is written
 * here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct change;
struct changes;
struct err;

struct patch_source {
	int original;
	int upper;
	FILE *out;
	bool safe; /* for a terminal: controls in names and lines are made visible */
	bool colours;
};

/* More than this on a side is not compared line by line. */
#define PATCH_SIDE_MAX (64U << 20)

/* Writes all changes, until nobody reads them any more (ferror(3)). */
int patch_print(const struct patch_source *s, const struct changes *c, struct err *e);

/* True if the format has a place for it: not for directories, pipes and devices, nor for other
 * permissions than whether a file can be executed. */
bool patch_has(const struct change *c);

/* True if what has a place is shown line by line, and is not only named. */
bool patch_is_text(const struct change *c);

/* The mode as the format has it: 0100644, 0100755 or 0120000. */
unsigned patch_mode(mode_t mode);

/* How many lines of the format a link's target is. */
size_t patch_link_lines(const char *target);
