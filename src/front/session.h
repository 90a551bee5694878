/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached session: the front's side of a running sandbox. It starts the keeper, relays standard
 * input, output and the terminal, and passes signals on, so that the command behaves as it would
 * without a sandbox around it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

struct err;
struct plan;

struct session {
	int socket;   /* to the keeper */
	int dir;      /* of the sandbox, until there is a socket */
	pid_t keeper; /* 0 where it is no child of ours */
	bool asked;   /* the keeper has been sent its request */
	bool over;    /* it has sent its result, and ends */
	uint64_t stdin_bytes;
	int signal;   /* the last signal that was passed on, 0 if none */
	int lost;     /* errno of an output that could not be written, 0 if none */
	bool sampled; /* limits are armed by the keeper's sampler, for want of a control group */
	bool slow;    /* the start has told how far it is */
	bool begun;   /* its command was let go */
	void (*on_start)(
		const struct session *s); /* called once, before the payload runs; or NULL */
	/* While the start takes its time: what is copied by now; NULL: nobody asks. With files < 0:
	 * that is over, whatever came of it. */
	void (*on_progress)(int files, int mebibytes);
	/* It is paused, for an escape is suspected, until somebody resumes it; NULL: nobody asks.
	 */
	void (*on_suspicion)(const char *sandbox);
};

/* A command as it is asked for. */
struct session_command {
	char *const *argv; /* NULL-terminated, at least one */
	const char *cwd;   /* absolute; NULL: where the caller is, if that is in the view */
	char *const *env;  /* NAME=VALUE beyond what the sandbox has; NULL: none */
	int64_t wall;      /* ns; 0: as long as the sandbox lets it */
	bool own;          /* argv is for atoll-init itself (linux/parcel.h) */
	bool detached;     /* nobody waits for its end: the result says that it has begun */
};

/* A sandbox as it is asked for. */
struct session_sandbox {
	const struct plan *plan;
	const char *name;     /* NULL: none but its id */
	const json_t *labels; /* an object of strings; NULL: none */
	bool receipt;         /* the result is to have it */
};

/*
 * Starts the keeper, if the program's entry (entry.h) has not done so yet, which then waits for its
 * request: called first, so that its start overlaps with the making of the plan.
 */
int session_open(struct session *s, struct err *e);

/* At the program's end: a keeper that was started for a session that never was ends, too. */
void session_unused(void);

/* For session_exec(): the directory of a sandbox that lives; takes it, FD_NONE included. */
void session_attach(struct session *s, int dir);

/*
 * Makes a sandbox, runs the command to its end and returns the keeper's result document in *ret.
 * The terminal is put back as it was on every way out. Without a command the document comes as soon
 * as the sandbox stands, and nothing ties it to us any more.
 */
int session_run(struct session *s, const struct session_sandbox *sandbox,
		const struct session_command *command, json_t **ret, struct err *e);

/* The same in the sandbox that was attached to. -ENOENT without *e set: it does not live. */
int session_exec(struct session *s, const struct session_command *command, json_t **ret,
		 struct err *e);

/* Somebody knows the id of the sandbox that was made without a command: it may live. */
void session_taken(struct session *s);

/* It leaves no process behind: not after a result, nor where nothing was asked for. */
void session_done(struct session *s);
