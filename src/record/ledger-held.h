/* SPDX-License-Identifier: Apache-2.0 */
/* What reserving, settling and the tokens of models share: a sandbox as the ledger has it. */
#pragma once

#include "record/ledger-internal.h"

struct ledger_held {
	char account[LEDGER_NAME_MAX + 1];
	char state[16];
	int64_t sheet;
	int64_t heartbeat;
	int64_t uid; /* -1: of a ledger that is not served */
	char up_boot[64];
	int64_t up_since, created;
	int64_t ceiling[LEDGER_DIMENSIONS];
	int64_t step[LEDGER_DIMENSIONS];
	int64_t settled[LEDGER_DIMENSIONS];
	bool over[LEDGER_DIMENSIONS]; /* a user tells of more than that, which is not counted */
};

/* 1: it is there, and open; 0: it is not (any more), which h->state tells apart. */
int ledger_held_find(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
		     struct err *e);
/* -ESTALE, for whoever wanted it to be. */
int ledger_held_none(const char *sandbox, struct err *e);

/* Counts it as used today, for the account and all above it. */
int ledger_use(struct ledger_call *c, const char *account, enum ledger_dimension d,
	       const char *model, int64_t amount, struct err *e);

/* Puts "answer" and "why" into the reply: what the budgets say now. `model` NULL: of a settlement;
 * what tokens have used up is told to who uses them. */
int ledger_answer(struct ledger_call *c, const struct ledger_held *h, const char *model,
		  struct err *e);

/* ---- ledger-reserve.c ---- */

/* Who asks for how much. */
struct ledger_asking {
	struct ledger_call *c;
	const struct ledger_account *account;
	const struct ledger_ceiling *of;
	const char *model; /* of a request; NULL: a start */
	bool priced;
};

/* -EDQUOT with the remedy, where a budget that binds the account has no room for it. */
int ledger_check_budgets(struct ledger_asking *q, const char *account, struct err *e);
/* -EPERM, where the account or one above it is closed. */
int ledger_check_open(struct ledger_call *c, const char *account, struct err *e);

/* ---- ledger-requests.c ---- */

/* Of requests that were sent, for all that is known, and whose use nobody has told. */
int ledger_spend_untold(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
			struct err *e);
