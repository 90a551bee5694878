/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of a policy, resolved once through a descriptor. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct origin;
struct plan_path;

/* What a path is asked for; decides which places are refused. */
enum path_use { PATH_WORKSPACE, PATH_WORKSPACE_WRITABLE, PATH_READ, PATH_EXEC };

/*
 * Opens `text` (absolute, ~, or relative to its document, on the command line to the current
 * directory), following links, and notes what it found. Refuses what must not be shown for that
 * use: kernel file systems, sockets and devices, the root and system directories, HOME as a whole
 * (`home` is its canonical path).
 * `key` names the setting in messages. 0, or negative with *e set.
 */
int path_resolve(const char *key, const struct origin *at, const char *text, const char *home,
		 enum path_use use, struct plan_path *ret, struct err *e);

/* The path as it will be opened: ~ and the start of a relative path filled in. `out`: PATH_MAX. */
int path_expand(const struct origin *at, const char *text, const char *home, char *out);

/*
 * The same as path_resolve without judgement, for an absolute path that a table of ours names.
 * -ENOENT and other errno values plain; no message.
 */
int path_probe(const char *path, struct plan_path *ret);

void plan_path_done(struct plan_path *p);

/* True when `path` is `dir` or lies below; both clean and absolute. */
bool path_within(const char *path, const char *dir);

/* Absolute, no empty, "." or ".." parts, no final slash (but "/"), at most PATH_MAX. */
bool path_is_clean(const char *path);

/* True for the directories of the host view: /usr and what is merged into it. */
bool path_is_system(const char *path);

/* The n-th of these directories, or NULL. */
const char *path_system(size_t n);

/* What `path`, absolute, leads to: free of links as far as it exists, and as it is written from
 * there on. `out`: PATH_MAX. 0 or negative errno. */
int path_real(const char *path, char *out);

/* 1 when reaching `path` passes through an entry of directory `dir`, else 0; negative errno. */
int path_passes(const char *path, const char *dir);
