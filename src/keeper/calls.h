/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the filter hands to the keeper, answered at a pace that leaves room for everything else.
 *
 * Theory of operation. Each call waits in the kernel until it is answered, so who makes many waits
 * for us and not we for him: the pace is a credit of time. What answering takes is taken off it, a
 * share of the time that passes is added, up to a burst; when it is used up the listener is left
 * alone until there is some again. Calls that the keeper does in the payload's stead are free: they
 * are work, and not attempts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct keeper;

/* A quarter of a CPU for as long as a storm lasts; a second of it at once, which is more than the
 * starts of a large build take altogether. It rests for 20 ms at least, not once for each call. */
#define CALLS_SHARE     4
#define CALLS_BURST_NS  1000000000LL
#define CALLS_RESUME_NS 5000000LL

struct calls {
	int64_t credit_ns, at_ns;
	bool resting;
	bool too_many; /* refusals: the record says so */
};

/* Whether the listener is to be left alone; *due_ns is then when to ask again. */
bool calls_rest(struct calls *c, int64_t now_ns, int64_t *due_ns);

/* Answers what waits, as much as fits in a turn of the loop. */
int keeper_hear_calls(struct keeper *k, struct err *e);
