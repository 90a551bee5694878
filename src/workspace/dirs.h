/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which directories an original had when every file of it was copied, by path and inode number.
 *
 * What lies in a directory has the ctime that it had when the directory is moved, so where somebody
 * has been at work in the original since, a ctime alone does not tell what was there at the start
 * from what came with its directory. A directory that stands where it stood tells: a name that is
 * put into it has a new ctime.
 *
 * Of each the first 64 bits of the SHA-256 of both are kept. In a file they stand as they are in
 * memory, in this machine's order of bytes, ascending.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All zeros is none, and a valid start and end. */
struct dirs {
	uint64_t *keys;
	size_t n, room;
};

void dirs_done(struct dirs *d);

/* `path` is below the root, without a slash before or behind it. 0 or -ENOMEM. */
int dirs_add(struct dirs *d, const char *path, ino_t ino);

/* When all have been added. */
void dirs_sort(struct dirs *d);

/* True if it stood at `path`, or (unless NULL) under `name` there. After dirs_sort() or
 * dirs_read(). */
bool dirs_has(const struct dirs *d, const char *path, const char *name, ino_t ino);

/* Makes the file `name` in `dir`, which is not there. 0 or negative errno. */
int dirs_write(const struct dirs *d, int dir, const char *name);

/* -ENOENT: there is no such file; -EBADMSG: it is none of these; another negative errno. *ret is
 * none then. */
int dirs_read(int dir, const char *name, struct dirs *ret);
