/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing some of the changes by their paths. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct changes;

/* The change at `path`, or NULL. */
const struct change *changes_at(const struct changes *c, const char *path, size_t len);

/* Keeps the changes whose place in `chosen` is true; the others are released. */
void changes_keep(struct changes *c, const bool *chosen);

/* True if change number i comes into a directory that would have to come too, and is not chosen. */
bool changes_homeless(const struct changes *c, size_t i, const bool *chosen);

/*
 * Directories that are to go although something in them is to stay are not chosen any more: how
 * many there were.
 */
size_t changes_reconcile(const struct changes *c, bool *chosen);

/*
 * Keeps only the changes at and below `paths`, by their new or their old name, and the directories
 * that those come into; with no paths, all. A path is written as changes have it; "./" before and
 * "/" behind it are nothing. *ret_unknown is the first path that names no change, or NULL. 0 or
 * -ENOMEM.
 */
int changes_select(struct changes *c, char *const *paths, size_t n, const char **ret_unknown);
