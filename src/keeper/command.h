/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command of a sandbox, from the request to its result: what is asked for, the streams between
 * it and whoever waits for it, its way in, and how it ended.
 *
 * A sandbox that is made for one command ends with it (`main`). In one that lives there may be any
 * number, side by side, each with its own front, its own wall-clock time and its own budget of
 * output.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "keeper/denial.h"
#include "keeper/limits.h"
#include "keeper/pump.h"
#include "tier/tier.h"

struct log;
struct plan;
struct tier_sandbox;

enum { PUMP_STDOUT, PUMP_STDERR, PUMP_TERMINAL, PUMP_COUNT };

/* At once. Less than INIT_MAX_COMMANDS, so that pid 1 always has room. */
#define COMMAND_MAX 60

/* What poll(2) waits for on behalf of one command. */
enum {
	COMMAND_FRONT,
	COMMAND_START,
	COMMAND_CHANNEL,
	COMMAND_PUMPS,
	COMMAND_POLLS = COMMAND_PUMPS + PUMP_COUNT
};

struct command {
	unsigned number; /* 1, 2, ... in the trail of the sandbox */
	bool main;       /* the sandbox ends with it */
	bool detached;   /* nobody waits for it: its output is kept, and goes nowhere else */
	int front;       /* who waits for it; FD_NONE: nobody (any more) */
	int front_pidfd; /* to wake a front that has stopped itself */

	char **argv; /* these three owned with their strings, NULL-terminated */
	char **env;
	char *cwd;
	unsigned tty;
	bool one_output; /* standard error goes where standard output goes */
	int rows, columns;
	int64_t wall; /* ns from its first instruction; 0: the sandbox's */

	struct tier_program program;
	struct tier_command inside;
	int in;                   /* the write end of its standard input, until the front has it */
	int to_front[PUMP_COUNT]; /* read ends, until then */
	struct pump pumps[PUMP_COUNT];
	uint64_t output_left; /* the pumps' common budget */
	struct log *log;      /* borrowed: where its output is kept; NULL: nowhere */

	json_t *first; /* what the record will say of its own first program; NULL: nothing yet */
	bool started;
	bool paused;      /* the front was told that it stopped, and may have stopped too */
	bool exited;      /* `status` is its wait status */
	bool killed;      /* it is on its way out */
	bool stopped;     /* somebody asked for its end */
	bool cut;         /* the rest of its output went with the sandbox */
	bool noted;       /* the record has its beginning */
	bool told;        /* the record has its end */
	uint64_t signals; /* that came before it was there to get them, by number */
	int status;
	int exec_error;    /* errno of an exec that failed, else 0 */
	enum limit broken; /* one of its own */
	struct err error;  /* why it could not start, or had to end */
	bool reported;     /* the front has its result, or is gone */
	int result; /* the result, until the front has taken it; FD_NONE: there is none yet */
	uint64_t denials[DENIAL_MAX]; /* how often each had been refused when it began */
	int64_t asked_ns, started_ns, killed_ns, ended_ns, moved_ns, reported_ns;
};

/* A command that nobody has described yet. NULL: out of memory. */
struct command *command_new(void);
void command_free(struct command *c);

/* Its pipes; and its terminal, made in the devpts of `ptmx` for this user (pty.h). */
int command_open(struct command *c, const struct plan *plan, struct err *e);
int command_open_terminal(struct command *c, int ptmx, uid_t uid, gid_t gid, struct err *e);

/* True if it has a terminal. */
static inline bool command_on_terminal(const struct command *c)
{
	return c->tty != 0;
}

/* What it puts out is kept from now on, with its beginning and its end. */
int command_keep(struct command *c, struct log *l, struct err *e);

/* Hands the front its ends. `sampled`: memory is watched by sampling. */
int command_send_streams(struct command *c, bool sampled, struct err *e);

/* Has told the program what it needs: from now on only the other side has its ends. */
void command_close_ends(struct command *c);

/* Bytes that it has put out so far. */
uint64_t command_bytes(const struct command *c);

/* A stream has more than the budget lets through. */
bool command_over(const struct command *c);

/* Fills in COMMAND_POLLS entries. */
void command_poll(const struct command *c, struct pollfd *w);

/* Moves what can be moved. */
void command_pump(struct command *c, const struct pollfd *w);

/* It has ended, and its own last output is what is in its streams by now. */
void command_drain(struct command *c);

/* True when there is nothing left to move; a terminal's last output is on its way for a moment. */
bool command_is_dry(struct command *c);

/* Tells the front; a front that does not listen is not waited for. */
void command_tell(const struct command *c, uint32_t op, int32_t a);

/* A front that stopped with its command has something to report again. */
void command_wake(const struct command *c);

/* True if there may be something left in its streams. */
bool command_is_moving(const struct command *c);

/* Whatever is still in its streams stays there. */
void command_stop_streams(struct command *c);

/* Kills its process group. */
void command_kill(struct command *c);

/*
 * Sends the document; the front then has it, or is gone, or it is kept in `result` for the next
 * try: false. Whoever waits for the main command is waited for.
 */
bool command_report(struct command *c, const json_t *doc);
