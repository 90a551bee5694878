/* SPDX-License-Identifier: Apache-2.0 */
/* What both versions of control groups have in common: small text files, and the end of a group. */
#pragma once

#include <stdint.h>

struct buf;

/* Replaces the buffer's contents by the file's; 0 or -errno. */
int cgroup_read_text(int dir, const char *path, struct buf *b);

/* The value of "key N" in a file of several lines; 0 when there is none. */
uint64_t cgroup_stat(int dir, const char *file, const char *key);

/* The caller's path in a hierarchy, from the text of /proc/PID/cgroup: "" for its root. The words
 * between the colons of a line name its controllers; version 2 has none, and `controller` is "".
 * NULL: no such line, or out of memory; free() it. */
char *cgroup_find_path(const char *text, const char *controller);

/* SIGKILL to every process that cgroup.procs of the group `path` lists. */
void cgroup_kill_members(const char *path);
