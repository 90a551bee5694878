/* SPDX-License-Identifier: Apache-2.0 */
/* Seccomp filters that were compiled at build time, and the listener for what they refuse. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"

struct err;

enum seccomp_filter {
	SECCOMP_FILTER_FILE,
	SECCOMP_FILTER_STRICT,
	SECCOMP_FILTER_DEFAULT,
	SECCOMP_FILTER_NESTED,
	/* for the process tier, without a mount namespace; without sockets file and strict are one
	 */
	SECCOMP_FILTER_PROCESS_STRICT,
	SECCOMP_FILTER_PROCESS_DEFAULT,
	/* and without a pid namespace */
	SECCOMP_FILTER_GUARDED_STRICT,
	SECCOMP_FILTER_GUARDED_DEFAULT,
	SECCOMP_FILTER_OPEN,     /* refuses nothing: shows what begins programs and processes */
	SECCOMP_FILTER_TOOL,     /* guarded strict for a program that we start; no listener */
	SECCOMP_FILTER_GATEWAY,  /* of atoll-gateway: any other call ends it; no listener */
	SECCOMP_FILTER_LEDGER,   /* of atoll-ledger serve: the same */
	SECCOMP_FILTER_AFFINITY, /* refuses sched_setaffinity and allows all else; no listener */
	SECCOMP_FILTER_COUNT,
};

/* SHA-256 of the instructions, as loaded. */
void seccomp_digest(enum seccomp_filter f, char out[DIGEST_HEX_SIZE]);

/* Loads without a listener; needs no_new_privs. */
int seccomp_load(enum seccomp_filter f, struct err *e);

/*
 * Loads with a listener and returns its descriptor. *ret_killable: from the moment that its call
 * was received, only a fatal signal ends a caller's waiting (5.19); before, any signal does.
 */
int seccomp_load_listener(enum seccomp_filter f, bool *ret_killable, struct err *e);

/*
 * Of caller and listener one always waits for the other, so they run on one CPU in turn where the
 * kernel can do that (6.6): waking a second one takes longer than the answer.
 */
void seccomp_stay_near(int listener);

/* A call that the filter does not let through, copied out of the notification. */
struct seccomp_denial {
	uint64_t cookie;
	pid_t tid; /* its thread, as the listener's owner sees it */
	int number;
	bool foreign_abi; /* int 0x80 or x32 */
	uint64_t args[6];
	const char *name; /* static; "unknown" for what the table does not know */
	bool record;      /* false: a call that is merely too new, answered ENOSYS */
};

/* Receives one notification. -ENOENT: its process died meanwhile; -EAGAIN: none is waiting. */
int seccomp_receive(int listener, struct seccomp_denial *ret);

/* execve(2) or execveat(2), which is not refused but seen. */
bool seccomp_is_start(const struct seccomp_denial *d);

/* fork(2), vfork(2) or clone(2). */
bool seccomp_is_fork(const struct seccomp_denial *d);

/* Refuses it: EPERM where it is recorded, ENOSYS otherwise. */
void seccomp_refuse(int listener, const struct seccomp_denial *d);

/* Answers it: `result` is what the call returns, a negative one its -errno. */
void seccomp_answer(int listener, const struct seccomp_denial *d, int64_t result);

/*
 * Lets the kernel do it after all. Only for calls that were judged by their registers alone, or not
 * at all: another thread could change memory after it was looked at (seccomp_unotify(2)).
 */
void seccomp_continue(int listener, const struct seccomp_denial *d);

/*
 * True while its thread still waits for the answer: until then d->tid is that thread's number, and
 * what was read by it was read of the right process.
 */
bool seccomp_pending(int listener, const struct seccomp_denial *d);
