/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control group of one sandbox, whichever way this host has one:
 *
 *   version 2, direct   the caller may make groups: root, or somebody whom a group was delegated
 * to. Made before the sandbox's first process, which is born in it. version 1           a directory
 * in each of several hierarchies, which the first process joins. a systemd scope     the caller's
 * service manager makes the group, over D-Bus, through the helper program atoll-scope, around a
 * process that exists already.
 *
 * The keeper itself is never in the group.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "linux/cgroup1.h"
#include "linux/cgroup2.h"
#include "linux/disk.h"
#include "policy/plan.h"

struct err;

enum group_kind {
	GROUP_NONE,
	GROUP_V1,
	GROUP_V2,
	GROUP_SCOPE,
};

struct group {
	enum group_kind kind;
	struct cgroup1 v1;
	struct cgroup2 v2;
	char *scope; /* GROUP_SCOPE: the path of the group that will be made, without its name */
	bool no_io;  /* GROUP_SCOPE: the manager has no io controller */
	bool no_cpu; /* GROUP_SCOPE: the manager has no cpu controller; pin instead */
	bool hidden; /* GROUP_SCOPE: the limits must be out of the payload's sight (see below) */
	bool io;     /* a limit of I/O is asked for: it is set for these disks */
	struct disk *disks;
	size_t n_disks;
	bool no_swap_limit;       /* memory is counted without swap, because the host has no swap */
	int tasks[CGROUP1_COUNT]; /* GROUP_V1: the task lists that the first process joins */
	size_t n_tasks;
	int oom;       /* GROUP_V1: an eventfd; GROUP_SCOPE: memory.events; else FD_NONE */
	uint64_t peak; /* bytes, where the kernel does not keep it (before 5.19) */
};

/* A group that is not there: what find() starts from, and safe for done(). */
void group_init(struct group *g);

/* Finds the way; GROUP_NONE with the reason in *why. Makes nothing. */
void group_find(struct group *g, struct err *why);

/* True if the group must exist before the sandbox's first process. */
static inline bool group_comes_first(const struct group *g)
{
	return g->kind == GROUP_V2;
}

/*
 * To be set after find() for a payload that may mount the control groups: what it then sees begins
 * with the group it is in, whose files belong to its own user. The manager's is one directory;
 * moving the first process into another one below costs an RCU grace period.
 */
static inline void group_hide(struct group *g)
{
	g->hidden = true;
}

/* To be called after find() for a sandbox that may be paused: where that takes a hierarchy of its
 * own, and there is one, it gets it. */
void group_want_freezer(struct group *g);

/* Stops everything in the group, or lets it go on. -EOPNOTSUPP with the remedy. */
int group_freeze(const struct group *g, bool on, struct err *e);

/*
 * To be called after find() where the policy limits I/O: the group is to have the io controller.
 * -EOPNOTSUPP with the remedy where it cannot hold such a limit.
 */
int group_want_io(struct group *g, struct err *e);

/* The paths that make() will make for this sandbox, to be removed by whoever finds it dead: a new
 * array; NULL: out of memory. */
json_t *group_paths(const struct group *g, const char *id);

/* Makes the group with its limits; `first` is the sandbox's first process, 0 where the group comes
 * first. */
int group_make(struct group *g, const char *id, const struct plan_limits *plan, pid_t first,
	       struct err *e);

/* The descriptor for CLONE_INTO_CGROUP; FD_NONE where there is none. */
int group_birthplace(const struct group *g);

/* Reads back: the process is in the group, and its limits are the plan's. Adds a row for each to
 * the array. */
int group_receipt(const struct group *g, const struct plan_limits *plan, pid_t pid, json_t *list,
		  struct err *e);

/* What it has used so far; figures that cannot be read stay as they are. */
void group_measure(struct group *g, uint64_t *cpu_ns, uint64_t *peak_memory);

/*
 * Notice of memory running out while the sandbox runs: what to poll, and whether an event there
 * means it. A group of our own kills all its members at once and can be asked afterwards
 * (ran_out()); the manager's is gone when its last member is, so there init lives on until it was
 * asked.
 */
struct pollfd;
void group_poll(const struct group *g, struct pollfd *pfd);
bool group_event(const struct group *g);

/* How many processes and threads are in it; 0: nobody says. */
uint64_t group_tasks(const struct group *g);

/* True if somebody inside was killed for memory. */
bool group_ran_out(const struct group *g);

/* How often a process or thread was refused. */
uint64_t group_refused_forks(const struct group *g);

/* Removes the group; everybody inside is dead or dies now. */
int group_remove(struct group *g, struct err *e);

/* Removes a group that a dead keeper has left, by a path of group_paths(). */
int group_remove_path(const char *path, struct err *e);

void group_done(struct group *g);

/* "cgroup v1", "cgroup v2", "cgroup v2, systemd scope" */
const char *group_name(enum group_kind kind);
