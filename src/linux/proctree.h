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

/* Which process it is: a number may be given to another one, which begins later. */
struct proctree_member {
	pid_t pid;
	unsigned long long born; /* in ticks since boot; 0 where nobody has asked */
	size_t parent;           /* its place in the list; SIZE_MAX: the root */
};

/* Processes, parents before their children. All zeros is a valid start. */
struct proctree {
	struct proctree_member *members;
	size_t n, room;
};

void proctree_done(struct proctree *t);

/* Adds one number, without looking at the process. 0 or -ENOMEM. */
int proctree_add(struct proctree *t, pid_t pid);

/*
 * What is below `root` now, without the root itself. Each was seen to be a child of another, so
 * that a number which came round meanwhile is not taken for what it was. What begins or ends
 * meanwhile may be missed: the next look has it. 0, -ENOMEM, or -ENOSYS where the kernel does not
 * list children (CONFIG_PROC_CHILDREN).
 */
int proctree_list(struct proctree *t, pid_t root);

/*
 * False where /proc hides processes that the caller may not trace (proc(5), hidepid): each of its
 * own can make itself one of those (PR_SET_DUMPABLE), and then nothing here would see it. Starts a
 * child to find out.
 */
bool proctree_sees_all(void);

/*
 * True if `pid` is below `root`. A number that was given to another process while its parents were
 * followed is not taken for one of them: nobody is younger than its child.
 */
bool proctree_has(pid_t root, pid_t pid);

/*
 * Sends a signal to a listed process, through a descriptor that was opened before the process was
 * looked at again (pidfd_open(2)). 0, or -ESRCH where it is gone.
 */
int proctree_signal(const struct proctree_member *m, int signal);

/*
 * Ends everything below `root` but `except` (0: none): stops all there is until two looks in a row
 * find nothing running, for only then can a kill not be outrun by a fork, then kills. 0 when
 * nothing is left but what waits to be collected; -ETIMEDOUT after ten seconds.
 *
 * A bomb is ended by this alone. A line in which each process starts the next and ends at once can
 * be between two looks for as long as it likes; against that the caller must be who lets processes
 * begin (a seccomp listener, whose end refuses them), as at the process tier.
 */
int proctree_end(pid_t root, pid_t except);

/* One field of /proc/PID/status, "\nName:", as a number; -1 where it is not there. */
long proctree_status(pid_t pid, const char *name);
