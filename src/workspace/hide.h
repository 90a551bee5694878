/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What filesystem.deny hides in the places that a payload is to see.
 *
 * Theory of operation. The rules lead the way: a directory is listed only where some rule may still
 * hit something below, so a path without a pattern costs a list of each directory above it, and a
 * `**` one walk of what it stands for. What a rule hits is hidden; so is a name without a pattern
 * that is not there (yet), at the first directory that is missing on its way. Two things are
 * hidden by what they are rather than by their name:
 *
 *   where a link leads that a rule hits, or that stands on a rule's way: as a rule of its own
 *   other names (hard links) of a file that is hidden, or lies in a hidden directory, which costs
 *     one walk of that directory, and if there are such files one of each place
 *
 * A directory that we may not look into, and names in one that we may not pass, are hidden where a
 * rule leads there: the payload may be able to give itself the right. Where a rule would lead on
 * into a directory whose path is about as long as a path may be, the whole fails.
 *
 * TRUST: the places may be changed by anybody meanwhile, and hold what earlier payloads left. They
 * are walked through descriptors, below their roots, and no link is followed; links are resolved by
 * name, and all that follows from one is that more is hidden.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct deny_layers;
struct err;

struct hide_place {
	const char *path; /* absolute and free of links */
	int root;         /* a directory's descriptor, O_PATH will do */
	uid_t owner;      /* whose directories the payload sees as its own */
	gid_t group;
	bool others; /* links and other names count, too */
};

#define HIDE_MAX        16384 /* names in one place */
#define HIDE_MAX_INODES 65536 /* files with other names */

/*
 * The layers of those places in which something is to be hidden, in the order of the places, whose
 * paths they borrow. 0; -E2BIG beyond the bounds; -EPERM where a link makes a rule hide a whole
 * place; another negative errno; with *e set.
 */
int hide_find(const struct hide_place *places, size_t n, char *const *texts, size_t n_texts,
	      struct deny_layers *ret, struct err *e);
