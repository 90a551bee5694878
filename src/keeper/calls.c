/* SPDX-License-Identifier: Apache-2.0 */
/* The listener of the filter. */
#include "keeper/calls.h"

#include <poll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "keeper/keeper-internal.h"
#include "linux/seccomp.h"

/* Calls answered in one turn of the loop, and how long that may keep the rest of it waiting. */
#define CALLS_PER_TURN 64
#define CALLS_NS       10000000LL

bool calls_rest(struct calls *c, int64_t now_ns, int64_t *due_ns)
{
	*due_ns = INT64_MAX;
	if (c->at_ns == 0) {
		c->credit_ns = CALLS_BURST_NS;
	} else {
		c->credit_ns += (now_ns - c->at_ns) / CALLS_SHARE;
	}
	c->at_ns = now_ns;
	if (c->credit_ns > CALLS_BURST_NS) {
		c->credit_ns = CALLS_BURST_NS;
	}
	c->resting = c->credit_ns < (c->resting ? CALLS_RESUME_NS : 0);
	if (c->resting) {
		*due_ns = now_ns + (CALLS_RESUME_NS - c->credit_ns) * CALLS_SHARE;
	}
	return c->resting;
}

/* Whoever hides what he tries behind a storm of harmless calls is found out nevertheless: a kind of
 * refusal that is new is recorded, however many there were. */
static int count_refusal(struct keeper *k, const struct seccomp_denial *d, struct err *e)
{
	int r = 0;

	if (k->denials.total > KEEPER_MAX_DENIALS && !k->calls.too_many) {
		k->calls.too_many = true;
		r = keeper_record(k, "denied",
				  json_pack("{s:s, s:I}", "code", "too-many", "count",
					    (json_int_t)k->denials.total),
				  e);
	}
	return r < 0 ? r
		     : keeper_deny(k, denial_classify(d), d->foreign_abi ? "foreign ABI" : d->name,
				   NULL, 1, e);
}

/* So much was refused by now that the sandbox ends for it. */
static bool is_caught(const struct keeper *k)
{
	return k->plan.escape <= ESCAPE_STOP && !k->suspected &&
	       denials_score(&k->denials) >= k->plan.escape_threshold;
}

/*
 * Every call is answered; but one that ends the sandbox is not, so its caller is killed inside of
 * it and does nothing more. 1: it was that one.
 */
static int answer(struct keeper *k, const struct seccomp_denial *d, bool *ret_free, struct err *e)
{
	/* What may be the end of it is judged before it is answered. */
	bool ends = d->record && k->plan.denials == DENIALS_END;
	bool waits = ends || (d->record && k->plan.escape <= ESCAPE_STOP);
	int r;

	*ret_free = false;
	if (seccomp_is_start(d)) {
		return keeper_see_start(k, d, e);
	}
	if (k->tier->broker && k->tier->broker(&k->sandbox, d)) {
		*ret_free = true;
		return 0;
	}
	if (!waits) {
		seccomp_refuse(k->sandbox.listener, d);
	}
	r = d->record ? count_refusal(k, d, e) : 0;
	if (r < 0 || ends || is_caught(k)) {
		return r < 0 ? r : 1;
	}
	if (waits) {
		seccomp_refuse(k->sandbox.listener, d);
	}
	return 0;
}

int keeper_hear_calls(struct keeper *k, struct err *e)
{
	struct pollfd pfd = {.fd = k->sandbox.listener, .events = POLLIN};
	int64_t now = clock_now_ns();
	const int64_t until = now + CALLS_NS;
	struct seccomp_denial d;
	int i, r = 0;

	/* A look at limits, output and the front come first when the time is up. */
	for (i = 0; r == 0 && i < CALLS_PER_TURN && now < until && poll(&pfd, 1, 0) == 1; i++) {
		const int64_t before = now;
		bool is_free = false;

		if (!(pfd.revents & POLLIN)) {
			k->sandbox.listener = fd_close(k->sandbox.listener);
			break;
		}
		if (seccomp_receive(k->sandbox.listener, &d) < 0) {
			continue;
		}
		r = answer(k, &d, &is_free, e);
		now = clock_now_ns();
		k->calls.credit_ns -= is_free ? 0 : now - before;
	}
	return r < 0 ? r : 0;
}
