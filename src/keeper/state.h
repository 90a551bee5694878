/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Atoll keeps on disk, and how it is found again after a crash.
 *
 *   HOME/sandboxes/ID/     one directory for each sandbox that exists; its keeper holds flock(2) on
 *                          it for life, so a directory whose lock is free belongs to a dead keeper
 *   HOME/sandboxes/ID/sandbox.json   what the keeper made outside: written before it is made
 *   HOME/sandboxes/ID/copy, kept.json   see keeper/copy.h
 *   HOME/sandboxes/ID/name, HOME/names   see keeper/name.h
 *   HOME/trail/ID.jsonl    the trail, which outlives the sandbox
 *
 * A directory is made and locked under a shared lock on HOME/sandboxes; whoever looks whether one
 * is an orphan holds that lock exclusively, so a directory between its birth and its lock is never
 * mistaken, and then has the orphan's own lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;
struct mount_table;
struct plan;

#define STATE_ID_SIZE 16 /* "s-", ten letters or digits, room for ".N", and the terminator */

struct state {
	int home;
	int sandboxes;
	int trail;
};

/* Appends the path of HOME ($ATOLL_HOME, $XDG_STATE_HOME/atoll, ~/.local/state/atoll, root:
 * /var/lib/atoll). It may not exist. */
int state_path(struct buf *b, struct err *e);

/* Opens HOME; makes it where it is not there. */
int state_open(struct state *s, struct err *e);
void state_done(struct state *s);

/*
 * 0 if nothing of the plan shows HOME to the payload, which could connect to the control sockets
 * there (a read-only mount does not stop that), and in a direct workspace write records, and what
 * the next command is to undo. -EPERM otherwise.
 */
int state_check_hidden(const struct state *s, const struct plan *plan,
		       const struct mount_table *mounts, struct err *e);

/* A sandbox's own directory, made and locked. */
struct state_sandbox {
	char id[STATE_ID_SIZE];
	int dir;
};

/* Names one that is not there yet. */
int state_name(struct state_sandbox *ret, struct err *e);

/* ID.1 for the first (0) of its further directories, and so on: at most nine. */
void state_name_more(const char *id, size_t n, char ret[STATE_ID_SIZE]);

/* The sandbox that a directory belongs to: ID of ID.1 as of ID. */
void state_name_of(const char *id, char ret[STATE_ID_SIZE]);

/* Makes and locks the directory of a sandbox that has a name. */
int state_create(const struct state *s, struct state_sandbox *sb, struct err *e);

/* Writes a small file into the sandbox's directory, whole or not at all. */
int state_write(const struct state_sandbox *sb, const char *name, const char *text, size_t len,
		struct err *e);

/* Removes the directory with all that is in it. */
int state_remove(const struct state *s, struct state_sandbox *sb, struct err *e);

void state_sandbox_done(struct state_sandbox *sb);

/* True if nobody has asked so about this mark in `dir` for that long; from now on somebody has. */
bool state_is_due(int dir, const char *mark, int seconds);

/* A user id that nobody on the host has: 0x70000000 to 0x7fffffff, above what distributions and
 * container managers hand out. -EADDRNOTAVAIL when this user namespace has no such ids; -EPERM when
 * `owners` of files are to be translated to it and root may not do that. */
int state_host_id(bool owners, uid_t *ret, struct err *e);
