/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reserving, settling, releasing: the way of one sandbox through the ledger.
 *
 *     reserve -> open -> settle, settle, ... -> release -> closed
 *                    \-> (its keeper is dead) -> return -> returned
 *
 * A reservation holds, of each dimension, the most that the sandbox can use in its life. It is made
 * in one transaction that nobody else is in, with the look at every budget that binds the account,
 * its own and those of the accounts above: spent + held + asked <= amount for each, or nothing is
 * made. So spent + held is never above a budget when something is reserved, whoever else comes at
 * the same time, and wherever anybody dies: a transaction is there or it is not.
 *
 * Settling moves what has been used from held to spent, which changes no sum as long as it is
 * within the ceiling. What is above it is spent all the same, for it has been used, and the answer
 * is that the sandbox must end. Usage is what has been used since the start, never a difference: a
 * settlement that is said twice, or after its answer was lost, counts once, and one that says less
 * than the last one changes nothing.
 *
 * Of a sandbox that died nobody knows what it has used since it was last settled. It counts as the
 * most that can have been used in one settlement period (`step`), within the ceiling. One that is
 * returned without having reserved never will: what its keeper said before it died may still be on
 * its way, and would be held for ever.
 *
 * In a ledger that is served, wall time is at least that for which the reservation has been open,
 * whatever is told: by the clock of the host that nobody sets, or, after that was started again, by
 * the wall clock and within the ceiling. Tearing down is not held against a sandbox (GRACE_MS).
 * What a user tells of beyond what was reserved ends their sandbox, and is not spent: whoever
 * shares the account would be ended by a lie.
 *
 * Reserving is in ledger-reserve.c, the tokens of models are in ledger-requests.c.
 */
#include <errno.h>
#include <string.h>

#include "record/ledger-held.h"
#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

#define GRACE_MS 10000

/* Those that the keeper tells of; money and tokens follow from others. */
static const enum ledger_dimension told[] = {LEDGER_CPU, LEDGER_MEMORY, LEDGER_WALL, LEDGER_EGRESS};

static int set_line(struct ledger_call *c, const char *sandbox, const struct ledger_held *h,
		    enum ledger_dimension d, int64_t settled, struct err *e)
{
	int r = settled == h->settled[d]
			? 0
			: store_do(c->s, e,
				   "UPDATE hold SET settled = $1 WHERE sandbox = $2"
				   " AND dimension = $3",
				   S_INT(settled), S_TEXT(sandbox), S_TEXT(ledger_dimension(d)));

	return r < 0 ? r : ledger_use(c, h->account, d, "", settled - h->settled[d], e);
}

/* What it has used so far becomes what it has spent. */
static int move(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
		const int64_t used[LEDGER_DIMENSIONS], struct err *e)
{
	struct ledger_prices prices;
	int64_t now[LEDGER_DIMENSIONS] = {}, before = 0, after = 0;
	int r = ledger_prices_of(c, h->sheet, &prices, e);

	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		enum ledger_dimension d = told[i];

		now[d] = used[d] > h->settled[d] ? used[d] : h->settled[d];
	}
	r = r < 0 ? r : ledger_cost(&prices, h->settled, &before, e);
	r = r < 0 ? r : ledger_cost(&prices, now, &after, e);
	/* Money has that of tokens in it, too. */
	now[LEDGER_MONEY] = h->settled[LEDGER_MONEY] + after - before;
	r = r < 0 ? r : set_line(c, sandbox, h, LEDGER_MONEY, now[LEDGER_MONEY], e);
	for (size_t i = 0; i < ARRAY_SIZE(told) && r >= 0; i++) {
		r = set_line(c, sandbox, h, told[i], now[told[i]], e);
		h->settled[told[i]] = now[told[i]];
	}
	h->settled[LEDGER_MONEY] = now[LEDGER_MONEY];
	return r < 0 ? r : 0;
}

/* For how long it has been open, as far as that counts; nobody is held to it in a ledger of their
 * own. */
static int64_t open_for(const struct ledger_call *c, const struct ledger_held *h)
{
	int64_t ceiling = h->ceiling[LEDGER_WALL], ms;
	bool same = strcmp(h->up_boot, c->boot) == 0;

	if (h->uid < 0 || !*c->boot) {
		return 0;
	}
	ms = same ? c->up_ms - h->up_since : c->now_ms - h->created;
	return ms > ceiling && (!same || ms - ceiling <= GRACE_MS) ? ceiling : ms;
}

/* The reservation that a request is about, and what the sandbox has used. */
static int take_usage(struct ledger_call *c, const char **sandbox, struct ledger_held *h,
		      int64_t used[LEDGER_DIMENSIONS], struct err *e)
{
	const json_t *in = json_object_get(c->in, "used");
	int r = ledger_name(c, "sandbox", sandbox, e);

	for (size_t i = 0; i < ARRAY_SIZE(told) && r >= 0; i++) {
		r = ledger_amount(in, ledger_dimension(told[i]), 0, &used[told[i]], e);
	}
	r = r < 0 ? r : ledger_held_find(c, *sandbox, h, e);
	if (r <= 0) {
		return r < 0 ? r : ledger_held_none(*sandbox, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(told) && c->uid > 0; i++) {
		enum ledger_dimension d = told[i];

		h->over[d] = used[d] > h->ceiling[d];
		used[d] = h->over[d] ? h->ceiling[d] : used[d];
	}
	if (open_for(c, h) > used[LEDGER_WALL]) {
		used[LEDGER_WALL] = open_for(c, h);
	}
	return 1;
}

int ledger_op_settle(struct ledger_call *c, struct err *e)
{
	int64_t used[LEDGER_DIMENSIONS] = {};
	const char *sandbox;
	struct ledger_held h;
	int r = take_usage(c, &sandbox, &h, used, e);

	r = r < 0 ? r : move(c, sandbox, &h, used, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "UPDATE reservation SET heartbeat = $1, idle = $2 WHERE sandbox = $3",
			     S_INT(c->now_ms), S_INT(json_is_true(json_object_get(c->in, "idle"))),
			     S_TEXT(sandbox));
	return r < 0 ? r : ledger_answer(c, &h, NULL, e);
}

static int finish(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
		  const char *state, struct err *e)
{
	_cleanup_json_ json_t *spent = json_object();
	struct ledger_account a;
	int r = store_do(c->s, e,
			 "UPDATE reservation SET state = $1, idle = 0, heartbeat = $2"
			 " WHERE sandbox = $3",
			 S_TEXT(state), S_INT(c->now_ms), S_TEXT(sandbox));

	r = r < 0 ? r : ledger_spend_untold(c, sandbox, h, e);
	r = r < 0 ? r : ledger_find(c, h->account, &a, e);
	if (r < 0) {
		return r;
	}
	for (int d = 0; d < LEDGER_DIMENSIONS; d++) {
		if (!spent || (d != LEDGER_SANDBOXES &&
			       json_put(spent, ledger_dimension((enum ledger_dimension)d),
					json_integer(h->settled[d])) < 0)) {
			return ledger_no_memory(e);
		}
	}
	return json_object_set(c->out, "spent", spent) < 0 ||
			       json_put(c->out, "currency", json_string(a.currency)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

int ledger_op_release(struct ledger_call *c, struct err *e)
{
	int64_t used[LEDGER_DIMENSIONS] = {};
	const char *sandbox;
	struct ledger_held h;
	int r = take_usage(c, &sandbox, &h, used, e);

	r = r < 0 ? r : move(c, sandbox, &h, used, e);
	return r < 0 ? r : finish(c, sandbox, &h, "settled", e);
}

/* It holds nothing: not any more, or not yet. */
static int nothing_held(struct ledger_call *c, const char *sandbox, const struct ledger_held *h,
			struct err *e)
{
	int n = *h->state ? 0
			  : store_do(c->s, e,
				     "INSERT INTO gone (sandbox, uid, time) VALUES"
				     " ($1, NULLIF(CAST($2 AS BIGINT), -1), $3)"
				     " ON CONFLICT (sandbox) DO NOTHING",
				     S_TEXT(sandbox), S_INT(c->uid), S_INT(c->now_ms));

	n = n > 0 ? ledger_count_row(c, e) : n;
	return n < 0 ? n : json_put(c->out, "held", json_false()) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_return(struct ledger_call *c, struct err *e)
{
	int64_t used[LEDGER_DIMENSIONS] = {};
	const char *sandbox;
	int64_t open;
	struct ledger_held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_held_find(c, sandbox, &h, e);
	if (r <= 0) {
		return r < 0 ? r : nothing_held(c, sandbox, &h, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		enum ledger_dimension d = told[i];
		int64_t left = h.ceiling[d] - h.settled[d];

		used[d] = h.settled[d] + (left <= 0 ? 0 : h.step[d] < left ? h.step[d] : left);
	}
	/* It lived no longer than it could, however long nobody has looked. */
	open = open_for(c, &h);
	open = open > h.ceiling[LEDGER_WALL] ? h.ceiling[LEDGER_WALL] : open;
	used[LEDGER_WALL] = open > used[LEDGER_WALL] ? open : used[LEDGER_WALL];
	r = move(c, sandbox, &h, used, e);
	r = r < 0 ? r : finish(c, sandbox, &h, "returned", e);
	return r < 0 || json_put(c->out, "held", json_true()) < 0 ||
			       json_put(c->out, "account", json_string(h.account)) < 0
		       ? (r < 0 ? r : ledger_no_memory(e))
		       : 0;
}
