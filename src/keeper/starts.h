/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program starts: what the payload executes, in the record.
 *
 * Theory of operation. The filter hands every execve(2) and execveat(2) to the keeper, which looks
 * what is asked for, writes it down, and lets the call continue. That is an observation of attempts
 * and decides nothing: another thread may change path and arguments, or put another file at the
 * path, between the look and the kernel's own. The record is written first, so what a program does
 * comes behind its start.
 *
 * What is looked at is the payload's: pages of its memory and names of its files, and behind either
 * may be a file system that does not answer. No call that reads them can be told not to wait, so a
 * process of its own does it, the reader, which can be killed: it is made for the first start that
 * needs it, is asked for one start at a time, and has STARTS_WAIT_MS; the keeper asks the kernel
 * who is asking meanwhile. After STARTS_HANGS that took longer nothing is looked at any more, and
 * all that follow say `unread`. The keeper reads by itself where nothing can be behind the pages:
 * of a command's own first start, which is still our program's; and without user namespaces, where
 * only an ancestor may read (Yama), and where names are the keeper's to resolve anyway (the process
 * tier's broker.c).
 *
 * Searching PATH makes many attempts for each start. One whose file is certainly not there is
 * counted and not recorded. A payload can make its file look so by putting it there a moment later,
 * as it can make any path look like another; that there was an attempt is always counted.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "linux/execve-args.h"

struct command;
struct err;
struct keeper;
struct seccomp_denial;

/* So many are recorded in a sandbox, and so many bytes of what the payload chose in them: with
 * what JSON makes of control characters (six bytes) 100 MiB, beside 20,000 times what is ours. All
 * others are counted. A build of a large project is in the thousands. */
#define STARTS_MAX       20000
#define STARTS_MAX_BYTES (16 << 20)

/* Long for a host that is busy, short for who waits for the keeper; and altogether at most 1 s. */
#define STARTS_WAIT_MS 250
#define STARTS_HANGS   4
/* A reader is made in less than a millisecond, and is 0.5 MiB. */
#define STARTS_IDLE_NS 2000000000LL

/* Which start. */
struct start_call {
	pid_t tid;
	uint64_t path, argv;
	int dir;    /* AT_FDCWD, or the descriptor that a relative path begins at */
	bool empty; /* an empty path means the descriptor itself (AT_EMPTY_PATH) */
	bool look;  /* whether there is a file */
	int root;   /* the root of all inside; FD_NONE: each may have one of its own */
};

/* What is behind foreign pages and names; "": not known. */
struct start_facts {
	bool unread;
	bool absent; /* there is certainly no file of that name */
	char cwd[PATH_MAX];
	char via[PATH_MAX]; /* what the descriptor is open on */
	struct execve_args args;
};

/* starts-read.c. May wait for as long as the payload likes. */
void start_read(const struct start_call *call, struct start_facts *ret);

struct starts {
	uint64_t seen;     /* attempts */
	uint64_t unfound;  /* of them: their file is not there */
	uint64_t left_out; /* of them: beyond what is recorded */
	uint64_t recorded, bytes;
	unsigned hangs;
	int pidns;        /* the sandbox's, where it has one; from the first start on */
	int root;         /* pid 1's, where nobody inside can have another; the same */
	int64_t asked_ns; /* the reader, the last time */
	int reader;       /* its socket */
	int reader_pidfd;
	struct start_facts *facts; /* shared with it; NULL: there is none */
};

void starts_init(struct starts *s);
void starts_done(struct starts *s);

/* Now and then: ends a reader that has had nothing to do for STARTS_IDLE_NS, or at once where
 * nothing runs inside. The next start that needs one makes another. */
void starts_look(struct starts *s, bool rests);

/* One start: looked at, recorded or counted, and let through. Where it cannot be recorded it is
 * not let through. */
int keeper_see_start(struct keeper *k, const struct seccomp_denial *d, struct err *e);

/* The first start of a command, once the record has the command. */
int keeper_record_first(struct keeper *k, struct command *c, struct err *e);

/* At the end: how many are not in the record. */
int keeper_record_starts(struct keeper *k, struct err *e);
