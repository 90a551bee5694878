/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes as a patch that `git apply` and patch(1) take, line by line.
 *
 * The lines are found by diff(1), which reads what the payload wrote: it runs in a process of its
 * own that can open nothing but the host's programs (Landlock), make no socket and no process
 * (seccomp), is nobody where the caller is root, and has the two contents as sealed memory. What
 * git's format says beside them (modes, names, links, renames) is written here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct err;

struct patch_source {
	int original;
	int upper;
	bool safe; /* for a terminal: controls in names and lines are made visible */
	bool colours;
};

/* Writes all changes to standard output; directories have no place in the format. */
int patch_print(const struct patch_source *s, const struct changes *c, struct err *e);
