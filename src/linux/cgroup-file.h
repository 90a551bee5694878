/* SPDX-License-Identifier: Apache-2.0 */
/* What both versions of control groups have in common: small text files, and the end of a group. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct mount_table;

/* Replaces the buffer's contents by the file's; 0 or -errno. */
int cgroup_read_text(int dir, const char *path, struct buf *b);

/* The value of "key N" in a file of several lines; 0 when there is none. */
uint64_t cgroup_stat(int dir, const char *file, const char *key);

/* True if `word` is one of the words of `list`, between commas, blanks and ends of lines. */
bool cgroup_has_word(const char *list, const char *word);

/* Where a hierarchy is mounted: of a file system of this type whose options name the controller;
 * "": any. NULL: none, or out of memory; free() it. */
char *cgroup_find_mount(const struct mount_table *t, const char *type, const char *controller);

/* The caller's path in a hierarchy, from the text of /proc/PID/cgroup: "" for its root. The words
 * between the colons of a line name its controllers; version 2 has none, and `controller` is "".
 * NULL: no such line, or out of memory; free() it. */
char *cgroup_find_path(const char *text, const char *controller);

/* SIGKILL to every process that cgroup.procs of the group `path` lists. */
void cgroup_kill_members(const char *path);
