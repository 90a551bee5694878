/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups version 2 (cgroups(7); the kernel's admin-guide/cgroup-v2.rst): one directory in
 * the one hierarchy.
 *
 * A group of ours is two directories. The outer one carries the limits and passes the controllers
 * on, so that nobody above can take them away while it exists (EBUSY); the inner one, without a
 * name in the view and without a right for the payload, holds the processes. A process is born
 * there (CLONE_INTO_CGROUP, clone(2)): moving one through cgroup.procs would wait for an RCU grace
 * period.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct cgroup2 {
	char *mount;  /* where the hierarchy is mounted */
	char *parent; /* absolute path of the group below which ours is made */
	char *path;   /* ours, NULL before make() or adopt() */
	int dir;      /* ours, FD_NONE before that */
	int leaf;     /* where the processes are */
	bool io;      /* it has the io controller, too */
	bool single;  /* made by somebody else: one directory, which is the leaf too */
};

/* A safe value before cgroup2_find(). */
#define CGROUP2_NONE                  \
	{                             \
		.dir = -1, .leaf = -1 \
	}

/*
 * Finds a group below which the caller may make groups with the controllers memory, pids and cpu:
 * root the top of the hierarchy, others the nearest of their own groups that was delegated to them.
 * Enables those controllers there where they are not. -EOPNOTSUPP with the reason in *e.
 */
int cgroup2_find(struct cgroup2 *c, struct err *e);

/* After find(): the group that will be made is to have the io controller, too. -EOPNOTSUPP. */
int cgroup2_want_io(struct cgroup2 *c, struct err *e);

/* True if the group at that path has the io controller. */
bool cgroup2_offers_io(const char *group);

/*
 * The group of the caller's service manager (user@UID.service), as a path, for groups that it is
 * asked for. -EOPNOTSUPP where there is none, or where memory and pids are not delegated to it;
 * *ret_cpu is whether cpu is. free(*ret).
 */
int cgroup2_find_manager(struct cgroup2 *c, char **ret, bool *ret_cpu, struct err *e);

/* Makes both directories of the group `name`. */
int cgroup2_make(struct cgroup2 *c, const char *name, struct err *e);

/* Takes a group that exists, `path` in the file system. */
int cgroup2_adopt(struct cgroup2 *c, const char *path, struct err *e);

/* Gives an adopted group its leaf, too, and moves the process there. */
int cgroup2_settle(struct cgroup2 *c, pid_t pid, struct err *e);

int cgroup2_write(const struct cgroup2 *c, const char *file, const char *text, struct err *e);

/* The first number of a file; "max" is UINT64_MAX. */
int cgroup2_read(const struct cgroup2 *c, const char *file, uint64_t *ret, struct err *e);
bool cgroup2_has(const struct cgroup2 *c, const char *file);

/* The line of a file that begins with the word `key`; "" where there is none. */
int cgroup2_read_line(const struct cgroup2 *c, const char *file, const char *key, char *out,
		      size_t size, struct err *e);

/* The value of "key N" in a file of several lines; 0 when the key is absent. */
uint64_t cgroup2_stat(const struct cgroup2 *c, const char *file, const char *key);

/* The same of a file of the leaf; 0 too where there is none. */
uint64_t cgroup2_leaf_stat(const struct cgroup2 *c, const char *file, const char *key);

/* 0 if the process is in the group; -EBADMSG with *e set if it is not. */
int cgroup2_has_member(const struct cgroup2 *c, pid_t pid, struct err *e);

/* Stops everything in the group, or lets it go on: each process at the latest when it would run
 * again. Who is frozen can still be killed. */
int cgroup2_freeze(const struct cgroup2 *c, bool on, struct err *e);

/* True if `path` lies in a version 2 hierarchy. */
bool cgroup2_is(const char *path);

/*
 * Kills whoever is left in the group `path` and below (cgroup.kill, from 5.14; signals before), and
 * removes it; waits up to a second for the kernel to let go. 0 also when it does not exist.
 */
int cgroup2_remove(const char *path, struct err *e);

/* Removes the group, and forgets it. */
int cgroup2_destroy(struct cgroup2 *c, struct err *e);

void cgroup2_done(struct cgroup2 *c);
