/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's state, shared by its files: request.c, keeper.c, setup.c, teardown.c, exec.c,
 * watch.c, calls.c, starts.c, result.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/digest.h"
#include "base/err.h"
#include "keeper/account.h"
#include "keeper/calls.h"
#include "keeper/command.h"
#include "keeper/control.h"
#include "keeper/copy.h"
#include "keeper/denial.h"
#include "keeper/egress.h"
#include "keeper/limits.h"
#include "keeper/log.h"
#include "keeper/scratch.h"
#include "keeper/starts.h"
#include "keeper/state.h"
#include "linux/mountinfo.h"
#include "policy/deny.h"
#include "policy/plan.h"
#include "record/trail.h"
#include "tier/tier.h"

/* After this many refused calls the record says that there are too many. */
#define KEEPER_MAX_DENIALS 20000

struct keeper {
	int front; /* who asked for the sandbox, until it or the main command has its answer */
	struct plan plan;
	char *name;     /* NULL: it has none but its id */
	json_t *labels; /* an object of strings */

	struct command *commands[COMMAND_MAX]; /* the oldest first */
	size_t n_commands;
	unsigned last_number;
	struct command *main; /* the sandbox ends with it; NULL: it lives until it is ended */

	struct state state;
	struct state_sandbox home;
	struct control control;
	struct trail trail;
	bool recording; /* the trail is open */
	int64_t checkpoint_ns,
		checkpoint_due_ns; /* how often it is signed meanwhile; 0: it is not */
	uint64_t signed_seq;       /* what it had when it was, the last time */
	struct limits limits;
	struct scratch scratch;
	struct egress egress;
	struct account account;
	struct copy copy;
	struct copy_more more[PLAN_MORE_MAX]; /* of plan.more */
	struct deny_layers hidden;            /* what the policy hides in the places of the view */
	struct log log; /* of what commands put out that are not the main one */
	bool copy_kept; /* the sandbox has ended, and what it changed waits for somebody */
	struct tier_spec spec;
	const struct tier_ops *tier;
	struct tier_sandbox sandbox;
	bool started; /* the main command was released; or the sandbox stands and waits */
	bool frozen;
	pid_t parent;   /* the front, as long as it is our parent */
	uint64_t bytes; /* put out by commands that are gone */
	struct denials denials;
	struct calls calls;
	struct starts starts;
	bool denied;            /* the first of them ended it */
	bool suspected;         /* of an escape: it is in the record */
	bool caught;            /* and that ended it */
	uint64_t routes, forks; /* what of the counters is among them */

	struct mount_ahead mounts; /* the host's */
	struct err unready;        /* what could not be made before there was a request */
	json_t *receipt;
	bool tell_receipt; /* with the result: the front asked for it */
	char receipt_digest[DIGEST_HEX_SIZE];
	json_t *armed; /* limits as read back */

	enum limit broken;
	bool stopped;     /* somebody asked for the end */
	bool hurry;       /* nor does anybody wait for a slow reader */
	struct err error; /* why the sandbox could not start, or had to end */

	int64_t born_ns, started_ns, ended_ns, down_ns, looked_ns;
	unsigned looks; /* of keeper_progress(), the last of them at looked_ns */
};

/* request.c: receives MSG_START: the plan, and the main command if there is one. */
int keeper_receive(struct keeper *k, struct err *e);

/* denied.c: finds what the policy hides, for the tier and for the note of the copy. */
int keeper_find_denied(struct keeper *k, struct err *e);

/* setup.c: makes the sandbox, and releases its main command if it has one. An error before that
 * means that nothing of the payload has run. */
int keeper_start(struct keeper *k, struct err *e);

/* teardown.c: removes what was made, however far that came, and says so. */
void keeper_finish(struct keeper *k);

/* The receipt is read for a command that is held, or for the sandbox (NULL). */
int keeper_read(struct keeper *k, const struct command *c, json_t **ret, struct err *e);
json_t *keeper_started_event(const struct command *c, size_t room);

/* checkpoints.c: signs the trail meanwhile, if it is time; returns when it is again
 * (clock_now_ns()), or INT64_MAX. What cannot be signed ends the sandbox: k->error. */
int64_t keeper_checkpoint(struct keeper *k);

/* watch.c: from release to the death of everything inside. */
int keeper_watch(struct keeper *k, struct err *e);

/* Adds to the trail; takes `data`, whose maker ran out of memory when it is NULL: an error. */
int keeper_record(struct keeper *k, const char *event, json_t *data, struct err *e);

/* What was added is as durable as the policy says from now on. */
int keeper_sync(struct keeper *k, struct err *e);

/* To whoever asked for the sandbox itself; false: is not there to hear it. */
bool keeper_answer(const struct keeper *k, const json_t *doc);

/* Counts a refusal and records the first of its kind. `request`: as denials_add() has it. */
int keeper_deny(struct keeper *k, enum denial_code code, const char *what, const char *request,
		uint64_t count, struct err *e);

/* Looks at all refusals: 1 where an escape is suspected from now on, which is recorded. */
int keeper_suspect(struct keeper *k, struct err *e);

/* Records that the first refusal is what ends the sandbox. */
int keeper_record_denial(struct keeper *k, struct err *e);
