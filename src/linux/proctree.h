/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process and everything that came from it, where no namespace holds them together.
 *
 * The root is a "child subreaper" (PR_SET_CHILD_SUBREAPER, prctl(2)): an orphan below it becomes
 * its child, so whatever the processes do, each has a line of parents that leads to the root. What
 * is read is /proc as the reader sees it (proc_pid_stat(5), proc_tid_children(5)).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Process ids, parents before their children. All zeros is a valid start. */
struct proctree {
	pid_t *pids;
	size_t n, room;
};

void proctree_done(struct proctree *t);

/* Adds one number. 0 or -ENOMEM. */
int proctree_add(struct proctree *t, pid_t pid);

/*
 * What is below `root` now, without the root itself. What begins or ends meanwhile may be missed:
 * the next look has it. 0, -ENOMEM, or -ENOSYS where the kernel does not list children
 * (CONFIG_PROC_CHILDREN).
 */
int proctree_list(struct proctree *t, pid_t root);

/*
 * True if `pid` is below `root`. A number that was given to another process while its parents were
 * followed is not taken for one of them: nobody is younger than its child.
 */
bool proctree_has(pid_t root, pid_t pid);

/*
 * Ends everything below `root` but `except` (0: none): stops all there is until two looks in a row
 * find nothing running, for only then can a kill not be outrun by a fork, then kills. Every signal
 * goes through a descriptor of a process that was checked after it was opened (pidfd_open(2)).
 * 0 when nothing is left but what waits to be collected; -ETIMEDOUT after ten seconds.
 */
int proctree_end(pid_t root, pid_t except);
