/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a file in a tree of somebody else's, for a process that may open nothing itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/*
 * A copy of the regular file `path` below `root` as sealed memory (memfd_create(2)), which whoever
 * holds it can also open; an empty one where `path` is NULL. `own`: as entry_open_file() has it.
 * -EFBIG beyond `max`; other errors with the path in *e.
 */
int memory_of_file(int root, const char *path, bool own, size_t max, struct err *e);

/* The bytes of such a file into `to`, a new file of ours; -EFBIG where there are more than `max`.
 */
int memory_to_file(int root, const char *path, bool own, size_t max, int to, struct err *e);
