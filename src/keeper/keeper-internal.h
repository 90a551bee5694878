/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's state, shared by its files: request.c, keeper.c, watch.c, result.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/digest.h"
#include "base/err.h"
#include "keeper/control.h"
#include "keeper/denial.h"
#include "keeper/limits.h"
#include "keeper/pump.h"
#include "keeper/copy.h"
#include "keeper/scratch.h"
#include "keeper/state.h"
#include "policy/plan.h"
#include "record/trail.h"
#include "tier/tier.h"

enum { PUMP_STDOUT, PUMP_STDERR, PUMP_TERMINAL, PUMP_COUNT };

/* After this many refused calls nobody listens any more: all that follow get ENOSYS. */
#define KEEPER_MAX_DENIALS 20000

struct keeper {
	int front; /* FD_NONE once the front is gone */
	int rows, columns;

	struct plan plan;
	char **argv; /* NULL-terminated, owned with its strings */
	char *cwd;
	unsigned tty;
	bool one_output; /* standard error goes where standard output goes */

	struct state state;
	struct state_sandbox home;
	struct control control;
	struct trail trail;
	bool recording; /* the trail is open */
	struct limits limits;
	struct scratch scratch;
	struct copy copy;
	bool copy_kept; /* the sandbox has ended, and what it changed waits for somebody */
	struct tier_spec spec;
	const struct tier_ops *tier;
	struct tier_sandbox sandbox;
	bool started; /* the payload was released */
	bool paused;  /* the front was told that the payload stopped, and may have stopped too */
	pid_t parent; /* the front, as long as it is our parent */
	struct pump pumps[PUMP_COUNT];
	uint64_t output_left; /* the pumps' common budget */
	struct denials denials;
	bool denied;            /* the first of them ended it */
	uint64_t routes, forks; /* what of the counters is among them */

	json_t *receipt;
	char receipt_digest[DIGEST_HEX_SIZE];
	json_t *armed; /* limits as read back */

	enum limit broken;
	bool stopped; /* somebody asked for the end */
	bool hurry;   /* nor does anybody wait for a slow reader */
	bool exited;  /* `status` is the payload's wait status */
	int status;
	int exec_error;   /* errno of an exec that failed, else 0 */
	struct err error; /* why the sandbox could not start, or had to end */

	int64_t born_ns, started_ns, ended_ns, down_ns;
};

/* request.c: receives MSG_START and fills the request's part. */
int keeper_receive(struct keeper *k, struct err *e);

/* watch.c: from release to the death of everything inside. */
int keeper_watch(struct keeper *k, struct err *e);

/* A front that stopped with its payload has something to report again. */
void keeper_wake_front(const struct keeper *k);

/* result.c: the document for MSG_RESULT. NULL: out of memory. */
json_t *keeper_result(const struct keeper *k, bool clean);

/* The reply to CONTROL_STATUS. NULL: out of memory. */
json_t *keeper_status(const struct keeper *k);

/* "exited", "signalled", "limit:memory", "error:system", ... into text. */
void keeper_reason(const struct keeper *k, char *text, size_t size);

/* Adds to the trail; takes `data`, whose maker ran out of memory when it is NULL: an error. */
int keeper_record(struct keeper *k, const char *event, json_t *data, struct err *e);

/* Counts a refusal and records the first of its kind. */
int keeper_deny(struct keeper *k, enum denial_code code, const char *what, uint64_t count,
		struct err *e);

/* Records that the first refusal is what ends the sandbox. */
int keeper_record_denial(struct keeper *k, struct err *e);
