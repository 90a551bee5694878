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

#include "base/digest.h"

struct err;
struct ledger;
struct pollfd;

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

/* It is in another process: what failed for want of an answer may have been done. */
bool ledger_is_remote(const struct ledger *l);

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

/* The same with a ledger in another process (ledger_is_remote()), which nobody waits for: it is
 * asked, and heard when poll(2) has news, or it is due (clock_now_ns()). -EAGAIN: it has not
 * answered. One that a settlement can reach again while it is due is asked again. */
int ledger_settle_begin(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
			struct err *e);
int ledger_settle_hear(struct ledger *l, enum ledger_answer *ret, char why[256], struct err *e);
void ledger_poll(const struct ledger *l, struct pollfd *w);
int64_t ledger_due_ns(const struct ledger *l);

/* The end: what it has used is spent, the rest is free. *reply: what, and the money. */
int ledger_release(struct ledger *l, const char *sandbox, const struct ledger_usage *u,
		   json_t **reply, struct err *e);

/*
 * Of a sandbox whose keeper is dead: what it had settled is spent, and what it can have used within
 * one settlement period after that; the rest is free. 1; 0 if it held nothing (any more).
 */
int ledger_return(struct ledger *l, const char *sandbox, struct err *e);

/* Tokens of a model, for a sandbox that is there: what they cost in *ret_money. -EDQUOT, when they
 * have been recorded, if its account is exhausted by now. */
int ledger_tokens(struct ledger *l, const char *sandbox, const char *model, const char *version,
		  int64_t in, int64_t out, int64_t *ret_money, struct err *e);

/* ---- anchors of trails ---- */

/* One row, in a table that is chained as a trail is: each has the digest of the one before. */
struct ledger_anchor_row {
	int64_t n; /* from 1 */
	int64_t time_ms;
	const char *sandbox;
	int64_t size; /* records up to here; 0 in a row of ledger_retire() */
	const char *head;
	const char *root;
	const char *signature;
	const char *retired; /* why the trail was removed; NULL: it was not */
};

/* A trail stands at `size` records, with that head, root and signature (hexadecimal). */
int ledger_anchor(struct ledger *l, const char *sandbox, int64_t size, const char *head,
		  const char *root, const char *signature, int64_t *ret_n, struct err *e);

/* The trail was removed for a reason: what is not there any more is not missing. */
int ledger_retire(struct ledger *l, const char *sandbox, const char *why, struct err *e);

typedef int ledger_anchor_fn(void *arg, const struct ledger_anchor_row *row, struct err *e);

/* Those of one sandbox (NULL: all) in their order; the whole table is verified on the way, also
 * where only some are told of. -EBADMSG, with the row, where it does not hold: what was told of
 * before that stands for nothing either. */
int ledger_anchors(struct ledger *l, const char *sandbox, ledger_anchor_fn *fn, void *arg,
		   struct err *e);
