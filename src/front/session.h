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
	int socket; /* to the keeper */
	pid_t keeper;
	bool over; /* the keeper has sent its result, and ends */
	uint64_t stdin_bytes;
	int signal;   /* the last signal that was passed on, 0 if none */
	int lost;     /* errno of an output that could not be written, 0 if none */
	bool sampled; /* limits are armed by the keeper's sampler, for want of a control group */
	void (*on_start)(
		const struct session *s); /* called once, before the payload runs; or NULL */
};

/*
 * Starts the keeper, which waits for its request: called first, so that its start overlaps with
 * the making of the plan.
 */
int session_open(struct session *s, struct err *e);

/*
 * Runs the command to its end and returns the keeper's result document in *ret. The terminal is
 * put back as it was on every way out.
 */
int session_run(struct session *s, const struct plan *plan, char *const *argv, const char *cwd,
		json_t **ret, struct err *e);

/* After a result it leaves no process behind. */
void session_done(struct session *s);
