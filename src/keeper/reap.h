/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dead have left: a sandbox's directory whose lock is free, and a copy or output whose
 * time is up. Every command looks for them on its way, so that there need be no daemon.
 */
#pragma once

#include <stdbool.h>

struct err;
struct state;

/* Beside more sandboxes than that, a command that starts one looks for the dead at most so often.
 */
#define REAP_FEW     64
#define REAP_EVERY_S 10

enum reap {
	REAP_PASSING,   /* on the way of a command whose time counts: see above */
	REAP_SANDBOXES, /* all sandboxes, and now and then what output was kept */
	REAP_ALL,
	REAP_LOOK, /* all of it, and nothing is removed */
};

struct reaped {
	int orphans; /* sandboxes whose keeper was dead */
	int logs; /* sandboxes whose kept output goes: for its age, or because there is too much */
	int trails;  /* sandboxes whose record goes (config.yaml, trail_keep) */
	int expired; /* copies, the oldest of more than KEPT_MAX, and those that had waited for as
			long as their policy says */
	bool silent; /* the ledger has not answered: it is not asked again */
};

/*
 * Finds sandboxes whose keeper is dead, removes what they left (control groups, directory; a copy
 * in which something was changed is kept) and ends their trail; and copies, and output that was
 * kept, whose time is up. *ret says how many there were; the first error, once all have been tried,
 * is returned when one could not be removed.
 */
int reap_run(const struct state *s, enum reap how, struct reaped *ret, struct err *e);

/* The same for one of them, whatever time it is; nothing if its keeper lives. */
int reap_sandbox(const struct state *s, const char *id, struct err *e);
