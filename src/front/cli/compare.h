/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two contents line by line, as diff(1) finds the lines, which reads what a payload wrote: it runs
 * in a process of its own that can open nothing but the host's programs (Landlock), make no socket
 * and no process (seccomp), is nobody where the caller is root, and has both contents as sealed
 * memory (workspace/memory.h). Where one of them is empty there is nothing to find: the lines of
 * the other are passed on from here, a hundred times as fast.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/* A line of a hunk, or its head ("@@ ..."), without its end. False: no more are wanted. */
typedef bool compare_fn(void *arg, const char *line, size_t len);

/* Calls `fn` for each line of the unified difference, its heading left out. */
int compare_lines(const int sides[2], compare_fn *fn, void *arg, struct err *e);
