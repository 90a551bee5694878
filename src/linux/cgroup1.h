/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups version 1 (cgroups(7)): one directory in each of several hierarchies, made below
 * the caller's own group and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

enum cgroup1_controller {
	CGROUP1_MEMORY,
	CGROUP1_PIDS,
	CGROUP1_CPU,
	CGROUP1_CPUACCT,
	CGROUP1_FREEZER, /* only where it is asked for */
	CGROUP1_COUNT,
};

struct cgroup1 {
	char *parent[CGROUP1_COUNT]; /* the caller's own group, as an absolute path */
	int dir[CGROUP1_COUNT];      /* the group made below it; FD_NONE before cgroup1_make() */
	size_t n;                    /* how many of them are in use */
	char name[64];
};

/* Finds the caller's groups. -EOPNOTSUPP with *e set when a controller is not mounted as v1. */
int cgroup1_find(struct cgroup1 *c, struct err *e);

/* After find(): the group that will be made can be frozen. -EOPNOTSUPP as above. */
int cgroup1_want_freezer(struct cgroup1 *c, struct err *e);

/* Stops everything in the group, or lets it go on: each process at the latest when it would run
 * again. Who is frozen does not even die. */
int cgroup1_freeze(const struct cgroup1 *c, bool on, struct err *e);

/* Makes the directories `name`. -EACCES and the like when the caller may not. */
int cgroup1_make(struct cgroup1 *c, const char *name, struct err *e);

int cgroup1_write(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		  uint64_t value, struct err *e);
int cgroup1_read(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		 uint64_t *ret, struct err *e);
bool cgroup1_has(const struct cgroup1 *c, enum cgroup1_controller k, const char *file);

/* The value of "key N" in a file of several lines; 0 when the key is absent. */
uint64_t cgroup1_stat(const struct cgroup1 *c, enum cgroup1_controller k, const char *file,
		      const char *key);

/* An eventfd that counts whenever the group runs out of memory (cgroup-v1/memory.rst, 10). */
int cgroup1_oom_event(const struct cgroup1 *c, struct err *e);

/*
 * Opens the task list of each hierarchy for writing, so that a child can join before it starts, by
 * writing 0. A thread that moves itself through `tasks` needs no lock; any move through
 * cgroup.procs waits for an RCU grace period, 10 to 20 ms (kernel/cgroup,
 * cgroup_procs_write_start).
 */
int cgroup1_open_tasks(const struct cgroup1 *c, int fds[CGROUP1_COUNT], struct err *e);

/* 0 if the process is in the group made in every hierarchy; -EBADMSG with *e set if it is not. */
int cgroup1_has_member(const struct cgroup1 *c, pid_t pid, struct err *e);

/*
 * Kills whoever is left in group `path`, frozen or not, and removes it; waits up to a second for
 * the kernel to let go. 0 also when it does not exist.
 */
int cgroup1_remove(const char *path, struct err *e);

/* Removes what cgroup1_make() made, and forgets it. */
int cgroup1_destroy(struct cgroup1 *c, struct err *e);

void cgroup1_done(struct cgroup1 *c);
