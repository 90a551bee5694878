/* SPDX-License-Identifier: Apache-2.0 */
/* Copies whose sandbox has ended (copy.h), and that wait for somebody to look at them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "keeper/state.h"
#include "policy/deny.h"
#include "workspace/dirs.h"

struct err;

/* A copy that is waiting. Strings and descriptors belong to it. */
struct kept {
	struct state_sandbox home; /* locked */
	bool running;    /* it is not waiting: its sandbox lives, whose keeper has the lock */
	char *workspace; /* the original's path */
	int original;
	int upper;
	struct deny_rules denied; /* what the sandbox could not see of it */
	int64_t begun_ns;         /* CLOCK_REALTIME, before anything of the payload ran */
	int64_t made_ns;          /* the same, where it holds every file: since it did; else 0 */
	struct dirs dirs;         /* then: those of the original (change.h) */
	int64_t ended_ns;
	int64_t until_ns; /* when it is removed */
};

/*
 * Opens the kept copy of sandbox `id`, and locks it. -ENOENT: there is none; -EBUSY: it is running,
 * or somebody is at work on it; -ESTALE: the workspace is not the directory any more that was
 * copied. On these and other failures `home.dir` tells whether there is one that we hold, with
 * which nothing else can be done but to throw it away. kept_done() is due whatever it returns.
 */
int kept_open(const struct state *s, const char *id, struct kept *ret, struct err *e);

/* The same for who only lists them: takes no lock, so that it is in nobody's way, and finds those
 * that somebody is at work on too; `upper` stays closed. */
int kept_look(const struct state *s, const char *id, struct kept *ret, struct err *e);

/*
 * Opens that of a sandbox that lives, to look at and for nothing else: what is in it changes
 * meanwhile, at the payload's will. `ended_ns` and `until_ns` are 0. -ENOENT: it does not live;
 * -ENODATA: it has no copy.
 */
int kept_watch(const struct state *s, const char *id, struct kept *ret, struct err *e);
void kept_done(struct kept *k);

/* True for a sandbox's directory whose copy has waited for as long as its policy says, and that no
 * apply has been at work on that was killed. */
bool kept_expired(int dir);

/* As many wait at once; of more, the oldest go first. */
#define KEPT_MAX 200

/* Since when a copy waits, which nobody can set; 0: it is none, or one that may not go before
 * somebody has ended an apply. */
int64_t kept_since(int dir);

/* Throws such a one away; the caller has its lock. */
int kept_expire(const struct state *s, const struct state_sandbox *home, struct err *e);

/* Throws a kept copy away. */
int kept_discard(const struct state *s, struct kept *k, struct err *e);
