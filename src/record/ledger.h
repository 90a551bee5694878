/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of an installation: accounts, budgets, reservations, what was used, and the anchors of
 * trails. Theory: docs/internals/ledger.md.
 *
 * Everything is one request and one reply, both JSON (ledger_call()). With SQLite the handler is in
 * this process; with PostgreSQL it is in `atoll-ledger`, at the other end of a socket. Money is in
 * millionths of the currency, CPU and wall time in milliseconds, memory in MiB-seconds, traffic in
 * bytes: integers all of them, and what does not fit is an error.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

struct err;
struct ledger;

/* What a budget can be of. The words of a request and of the command line are ledger_dimension().
 */
enum ledger_dimension {
	LEDGER_MONEY,     /* millionths of the account's currency */
	LEDGER_CPU,       /* ms */
	LEDGER_MEMORY,    /* MiB-seconds */
	LEDGER_WALL,      /* ms */
	LEDGER_EGRESS,    /* bytes, both ways */
	LEDGER_SANDBOXES, /* at once */
	LEDGER_TOKENS,    /* of one model, or of all */
	LEDGER_DIMENSIONS
};
const char *ledger_dimension(enum ledger_dimension d);

/* Where atoll-ledger serve is found. */
#define LEDGER_SYSTEM_SOCKET "/run/atoll/ledger.sock"

struct ledger_config {
	/* "sqlite", "system", unix:/PATH, or postgres://...; NULL: sqlite */
	const char *url;
	int home;            /* the state directory, for sqlite */
	const char *program; /* where atoll-ledger is, for postgres */
	int answer_ms; /* how long an answer is awaited of another process; 0: eight seconds */
	/* The wall clock in ms; NULL: the host's, or the database server's. */
	int64_t (*clock_ms)(void *arg);
	/* How long the host is up, in ms, asleep or not; NULL: as it says. */
	int64_t (*up_ms)(void *arg);
	void *clock_arg;
	bool serves; /* it is kept for several users: ledger_handle_for() */
	/* In the stead of all that (atoll-ledger, tests): an open store, which is taken. */
	struct store *store;
};

/* Opens it, makes it where it is not there, and brings its tables up to date. */
int ledger_open(struct ledger **ret, const struct ledger_config *c, struct err *e);
void ledger_close(struct ledger *l);

/* How long a request waits for others; at first for hundreds of starts. Not with a server. */
#define LEDGER_PATIENCE_MS 5000
void ledger_patience(struct ledger *l, int ms);

static inline void cleanup_ledger(struct ledger **l)
{
	ledger_close(*l);
}
#define _cleanup_ledger_ __attribute__((cleanup(cleanup_ledger)))

/*
 * {"op": NAME, ...} and its reply, an object; takes the request (NULL: no memory). What the ledger
 * refuses is an error like any other: -EDQUOT where a budget is exhausted, -ENOENT for an unknown
 * account, -EEXIST, -EINVAL for a request that is none.
 */
int ledger_call(struct ledger *l, json_t *request, json_t **reply, struct err *e);

/* The handler itself: what ledger_call() leads to, in whichever process the store is. */
#define LEDGER_OWNER (-1) /* whoever may write the store anyway */
int ledger_handle(struct ledger *l, const json_t *request, json_t **reply, struct err *e);
/* For a user of a ledger that is served: -EPERM for what is not theirs to ask. */
int ledger_handle_for(struct ledger *l, int64_t uid, const json_t *request, json_t **reply,
		      struct err *e);

/* ---- a sandbox's spending ---- */

/* What one sandbox can use up at most in its life, and in one settlement period. */
struct ledger_ceiling {
	int64_t most;
	int64_t step;
};

struct ledger_reservation {
	const char *sandbox;
	const char *account;
	const char *user; /* who is counted as active */
	pid_t keeper;
	/* Money follows from the others and the prices. */
	struct ledger_ceiling of[LEDGER_DIMENSIONS];
};

/* All of it, or nothing and -EDQUOT with account, dimension, period and what is left. *reply, where
 * it is not NULL, gets what was reserved. */
int ledger_reserve(struct ledger *l, const struct ledger_reservation *r, json_t **reply,
		   struct err *e);

enum ledger_answer { LEDGER_OK, LEDGER_WARN, LEDGER_EXHAUSTED };

/* What it has used so far, since its start. `why` says which budget, unless it is LEDGER_OK. */
struct ledger_usage {
	int64_t of[LEDGER_DIMENSIONS];
	bool idle;
};
int ledger_settle(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
		  enum ledger_answer *ret, char why[256], struct err *e);

/* The end: what it has used is spent, the rest is free. *reply: what, and the money. */
int ledger_release(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
		   json_t **reply, struct err *e);

/*
 * Of a sandbox whose keeper is dead: what it had settled is spent, and what it can have used within
 * one settlement period after that; the rest is free. 1; 0 if it held nothing (any more).
 */
int ledger_return(struct ledger *l, const char *sandbox, struct err *e);
