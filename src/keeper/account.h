/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox may spend of its account (governance.account), and what it has spent.
 *
 * Reserved while the walls go up, for the longest life that the plan allows; settled every few
 * seconds from what the limits have counted; released at the end. The ledger decides; when it says
 * that nothing is left, or cannot be asked, the sandbox ends (LIMIT_ACCOUNT). Without an account no
 * ledger is opened.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct err;
struct keeper;
struct ledger;
struct pollfd;
struct state;

struct account {
	struct ledger *ledger; /* NULL: there is no account, or it has been released */
	int64_t period_ns;
	int64_t due_ns;    /* when to settle again */
	int64_t busy_ns;   /* since when somebody else has kept us from it; 0: nobody has */
	int64_t memory_ms; /* MiB-milliseconds up to memory_ns */
	int64_t memory_ns;
	uint64_t bytes; /* through the gateway, at the last settlement */
	bool warned;
	bool asked;    /* a settlement is on its way to another process */
	bool unsure;   /* it may have reserved: nobody has said that it has not */
	char why[256]; /* what the ledger last said that was not "ok" */
	json_t *spent; /* its last word */
};

/* The ledger that config.yaml names. *ret_period_ns: how often it is settled; may be NULL. */
int account_open_ledger(int home, struct ledger **ret, int64_t *ret_period_ns, struct err *e);

/* For whoever has something else to do: no answer is awaited for longer than that. */
#define ACCOUNT_HURRY_MS 1000
int account_open_ledger_in(int home, int ms, struct ledger **ret, struct err *e);

/* -EDQUOT, -ENOENT and what else the ledger says: nothing starts. 0 where there is no account. */
int account_reserve(struct keeper *k, struct err *e);

/* Settles if it is time, and returns when it is again (clock_now_ns()), or INT64_MAX. A ledger in
 * another process is asked, and heard when there is news of it: account_poll(). */
int64_t account_settle(struct keeper *k);
void account_poll(const struct account *a, struct pollfd *w);

/* At the end. Only what can use nothing any more is released (`gone`); the rest keeps holding it,
 * for whoever reaps it. */
int account_release(struct keeper *k, bool gone, struct err *e);

/* For a result: what was spent and why it ended, or null. */
json_t *account_to_json(const struct keeper *k);

/* Of a sandbox whose keeper is dead; says in *note what became of it. `account` NULL: nobody knows
 * whether it had one, but the ledger does. `ms`: as account_open_ledger_in() has it; 0: any time.
 */
int account_return(const struct state *s, const char *id, const char *account, int ms, json_t *note,
		   struct err *e);

void account_done(struct account *a);
