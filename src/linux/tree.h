/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that somebody else fills: everything goes through descriptors, no link is followed,
 * and neither depth nor number decides how much memory or how many descriptors it takes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Removes `name` in `dir` with all that is in it. Nobody may write there any more. 0 if it is not
 * there. */
int tree_remove(int dir, const char *name, struct err *e);

struct tree_usage {
	uint64_t bytes;  /* of blocks */
	uint64_t inodes; /* names; hard links count each */
};

/* Deeper trees are not looked at. */
#define TREE_DEPTH_MAX 64

/*
 * Sums up what is below `dir`, which may change meanwhile, until one of the limits is passed. A
 * directory of ours that we may not read gets its owner's rights for the moment of its opening.
 * False: it is deeper than TREE_DEPTH_MAX, or cannot be read.
 */
bool tree_measure(int dir, const struct tree_usage *limit, struct tree_usage *ret);
