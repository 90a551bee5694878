/* SPDX-License-Identifier: Apache-2.0 */
/* A reservation as it stands, what is used of it, and what its account says of that. */
#include "record/ledger-held.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-internal.h"

static int take_held(void *arg, const struct store_cell *cells, struct err *e)
{
	struct ledger_held *h = arg;

	(void)e;
	(void)snprintf(h->account, sizeof(h->account), "%s", cells[0].text ? cells[0].text : "");
	(void)snprintf(h->state, sizeof(h->state), "%s", cells[1].text ? cells[1].text : "");
	h->sheet = cells[2].num;
	h->heartbeat = cells[3].num;
	h->uid = cells[4].num;
	(void)snprintf(h->up_boot, sizeof(h->up_boot), "%s", cells[5].text ? cells[5].text : "");
	h->up_since = cells[6].num;
	h->created = cells[7].num;
	return 0;
}

static int take_line(void *arg, const struct store_cell *cells, struct err *e)
{
	struct ledger_held *h = arg;
	int d = ledger_dimension_of(cells[0].text ? cells[0].text : "");

	if (d < 0) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "the ledger holds something unknown");
	}
	h->ceiling[d] = cells[1].num;
	h->step[d] = cells[2].num;
	h->settled[d] = cells[3].num;
	return 0;
}

/* 1: it is there, and open; 0: it is not (any more). */
int ledger_held_find(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
		     struct err *e)
{
	int r;

	*h = (struct ledger_held){};
	r = store_ask(c->s, e, take_held, h,
		      "SELECT account, state, sheet, heartbeat, COALESCE(uid, -1), up_boot,"
		      " COALESCE(up_since, 0), created FROM reservation WHERE sandbox = $1",
		      S_TEXT(sandbox));
	if (r <= 0 || strcmp(h->state, "open") != 0) {
		return r < 0 ? r : 0;
	}
	r = store_ask(c->s, e, take_line, h,
		      "SELECT dimension, ceiling, step, settled FROM hold WHERE sandbox = $1",
		      S_TEXT(sandbox));
	return r < 0 ? r : 1;
}

int ledger_held_none(const char *sandbox, struct err *e)
{
	return err_set(e, ERR_POLICY, ESTALE, "the ledger holds nothing for sandbox %s", sandbox);
}

/* Counts it as used today, for the account and all above it. */
int ledger_use(struct ledger_call *c, const char *account, enum ledger_dimension d,
	       const char *model, int64_t amount, struct err *e)
{
	return amount == 0 ? 0
			   : store_do(c->s, e,
				      "INSERT INTO used (account, dimension, model, day, amount)"
				      " SELECT above, CAST($1 AS TEXT), CAST($2 AS TEXT),"
				      " CAST($3 AS BIGINT), CAST($4 AS BIGINT)"
				      " FROM chain WHERE account = $5"
				      " ON CONFLICT (account, dimension, model, day)"
				      " DO UPDATE SET amount = " STORE_PLUS("used.amount",
									    "excluded.amount"),
				      S_TEXT(ledger_dimension(d)), S_TEXT(model),
				      S_INT(ledger_day(c->now_ms)), S_INT(amount), S_TEXT(account));
}

struct judging {
	const struct ledger_held *h;
	const char *currency;
	const char
		*model; /* NULL: a settlement; what tokens have used up is told to who uses them */
	enum ledger_answer answer;
	char why[256];
};

/* Worse than what was found so far. */
static void judge(struct judging *j, const struct ledger_budget *b, enum ledger_answer answer,
		  const char *what)
{
	char amount[64];

	if (answer <= j->answer) {
		return;
	}
	j->answer = answer;
	ledger_amount_text(b->dimension, b->amount, j->currency, amount);
	(void)snprintf(j->why, sizeof(j->why), "%s of account '%s' of %s (%s, %s)", what,
		       b->account, ledger_dimension(b->dimension), amount, b->period);
}

static int judge_budget(void *arg, const struct ledger_budget *b, struct err *e)
{
	struct judging *j = arg;
	const enum ledger_dimension d = b->dimension;
	bool concerned =
		d == LEDGER_MONEY ||
		(d == LEDGER_TOKENS
			 ? j->model && (!*b->model || strcmp(b->model, j->model) == 0)
			 : d != LEDGER_SANDBOXES &&
				   (j->h->ceiling[d] > 0 || j->h->settled[d] > 0 || j->h->over[d]));

	(void)e;
	if (!concerned) {
		return 0;
	}
	if (b->spent >= b->amount) {
		judge(j, b, LEDGER_EXHAUSTED, "nothing is left of the budget");
	} else if (d != LEDGER_TOKENS && (j->h->settled[d] > j->h->ceiling[d] || j->h->over[d])) {
		judge(j, b, LEDGER_EXHAUSTED, "more was used than was reserved from the budget");
	} else if (b->warn > 0 && (__int128)b->spent * 100 >= (__int128)b->amount * b->warn) {
		judge(j, b, LEDGER_WARN, "little is left of the budget");
	}
	return 0;
}

int ledger_answer(struct ledger_call *c, const struct ledger_held *h, const char *model,
		  struct err *e)
{
	static const char *const words[] = {
		[LEDGER_OK] = "ok", [LEDGER_WARN] = "warn", [LEDGER_EXHAUSTED] = "exhausted"};
	struct judging j = {.h = h, .model = model};
	struct ledger_account a;
	int r = ledger_find(c, h->account, &a, e);

	j.currency = a.currency;
	r = r < 0 ? r : ledger_budgets(c, h->account, judge_budget, &j, e);
	if (r < 0) {
		return r;
	}
	return json_put(c->out, "answer", json_string(words[j.answer])) < 0 ||
			       json_put(c->out, "why", json_text(j.why)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}
