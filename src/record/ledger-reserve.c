/* SPDX-License-Identifier: Apache-2.0 */
/* Reserving: the look at every budget, and the rows of a reservation (ledger-spend.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-held.h"
#include "record/ledger-internal.h"

static const char *const remedies[LEDGER_DIMENSIONS] = {
	[LEDGER_MONEY] = "ask for less time, memory or traffic",
	[LEDGER_CPU] = "ask for less (time.cpu)",
	[LEDGER_MEMORY] = "ask for less (execution.limits.memory, time.wall, time.session)",
	[LEDGER_WALL] = "ask for less (time.wall, time.session)",
	[LEDGER_EGRESS] = "ask for less (network.limits.bytes)",
	[LEDGER_SANDBOXES] = "wait until one has ended",
	[LEDGER_TOKENS] = "ask for fewer",
};

/* "; the ledger's clock is at ..., ahead of this host's": why a period does not begin. */
static void say_clock(const struct ledger_call *c, char text[128])
{
	char day[16];

	text[0] = '\0';
	if (c->now_ms - c->host_ms > LEDGER_DAY_MS) {
		ledger_day_text(ledger_day(c->now_ms), day);
		(void)snprintf(text, 128,
			       " (the ledger has seen the day %s, which this host's clock has not "
			       "reached)",
			       day);
	}
}

static int refuse(const struct ledger_asking *q, const struct ledger_budget *b, int64_t asked,
		  struct err *e)
{
	int64_t left = b->amount - b->spent - b->held;
	char amount[64], is_left[64], held[64], wanted[64], clock[128];
	const char *currency = q->account->currency;
	bool total = strcmp(b->period, "total") == 0;

	ledger_amount_text(b->dimension, b->amount, currency, amount);
	ledger_amount_text(b->dimension, left > 0 ? left : 0, currency, is_left);
	ledger_amount_text(b->dimension, b->held, currency, held);
	ledger_amount_text(b->dimension, asked, currency, wanted);
	say_clock(q->c, clock);
	return err_set(e, ERR_POLICY, EDQUOT,
		       "the budget of account '%s' of %s (%s%s%s) has %s left, beside %s that "
		       "running sandboxes have reserved, and this one asks for %s%s; %s, or raise "
		       "it: 'atoll account set-budget %s %s AMOUNT%s%s%s%s'",
		       b->account, ledger_dimension(b->dimension), amount, total ? "" : " in a ",
		       total ? "" : b->period, is_left, held, wanted, clock,
		       q->model ? "ask for fewer tokens at a time" : remedies[b->dimension],
		       b->account, ledger_dimension(b->dimension), total ? "" : " --per ",
		       total ? "" : b->period, *b->model ? " --model " : "", b->model);
}

static int check_budget(void *arg, const struct ledger_budget *b, struct err *e)
{
	const struct ledger_asking *q = arg;
	int64_t asked = q->of[b->dimension].most, sum;
	bool money = b->dimension == LEDGER_MONEY;

	if (*b->model && (!q->model || strcmp(b->model, q->model) != 0)) {
		return 0;
	}
	if (money && !q->priced) {
		return err_set(
			e, ERR_POLICY, EDQUOT,
			"account '%s' has a budget of money, and no prices '%s' in %s are "
			"in force; add them: 'atoll account price %s --currency %s --set ...'",
			b->account, q->account->prices, q->account->currency, q->account->prices,
			q->account->currency);
	}
	if (money && b->spent >= b->amount) {
		return refuse(q, b, asked, e);
	}
	return asked > 0 && (__builtin_add_overflow(b->spent, b->held, &sum) ||
			     __builtin_add_overflow(sum, asked, &sum) || sum > b->amount)
		       ? refuse(q, b, asked, e)
		       : 0;
}

int ledger_check_open(struct ledger_call *c, const char *account, struct err *e)
{
	int64_t closed = 0;
	int r = store_ask(c->s, e, store_number, &closed,
			  "SELECT COUNT(*) FROM chain JOIN account a ON a.name = above"
			  " WHERE account = $1 AND a.closed IS NOT NULL",
			  S_TEXT(account));

	return r < 0    ? r
	       : closed ? err_set(e, ERR_POLICY, EPERM,
				  "the account '%s', or one above it, is closed; use another one",
				  account)
			: 0;
}

int ledger_check_budgets(struct ledger_asking *q, const char *account, struct err *e)
{
	return ledger_budgets(q->c, account, check_budget, q, e);
}

static int add_line(struct ledger_call *c, const char *sandbox, enum ledger_dimension d,
		    const struct ledger_ceiling *l, struct err *e)
{
	return store_do(c->s, e,
			"INSERT INTO hold (sandbox, dimension, ceiling, step, settled)"
			" VALUES ($1, $2, $3, $4, 0)",
			S_TEXT(sandbox), S_TEXT(ledger_dimension(d)), S_INT(l->most),
			S_INT(l->step));
}

static int take_ceilings(struct ledger_call *c, struct ledger_ceiling of[LEDGER_DIMENSIONS],
			 struct err *e)
{
	const json_t *most = json_object_get(c->in, "most"), *step = json_object_get(c->in, "step");
	int r = 0;

	for (int d = 0; d < LEDGER_DIMENSIONS && r >= 0; d++) {
		const char *word = ledger_dimension((enum ledger_dimension)d);

		if (d != LEDGER_MONEY) {
			r = ledger_amount(most, word, 0, &of[d].most, e);
			r = r < 0 ? r : ledger_amount(step, word, 0, &of[d].step, e);
		}
	}
	/* It is one, and takes some time, whatever a user says. */
	if (r >= 0 && c->uid > 0) {
		of[LEDGER_SANDBOXES] = (struct ledger_ceiling){.most = 1};
		r = of[LEDGER_WALL].most > 0
			    ? 0
			    : err_set(e, ERR_USER, EINVAL, "a sandbox that takes no time is none");
	}
	return r;
}

/* What all of it costs, to the end and in one step. */
static int price(const struct ledger_prices *p, struct ledger_ceiling of[LEDGER_DIMENSIONS],
		 struct err *e)
{
	int64_t most[LEDGER_DIMENSIONS], step[LEDGER_DIMENSIONS];
	int r;

	for (int d = 0; d < LEDGER_DIMENSIONS; d++) {
		most[d] = of[d].most;
		step[d] = of[d].step;
	}
	r = ledger_cost(p, most, &of[LEDGER_MONEY].most, e);
	return r < 0 ? r : ledger_cost(p, step, &of[LEDGER_MONEY].step, e);
}

static int add_reservation(struct ledger_call *c, const char *sandbox, const char *account,
			   int64_t sheet, struct err *e)
{
	const char *person, *boot;
	int64_t keeper;
	int r = ledger_text(c, "user", 256, "", &person, e);

	r = r < 0 ? r : ledger_text(c, "boot", 64, "", &boot, e);
	r = r < 0 ? r : ledger_amount(c->in, "keeper", 0, &keeper, e);
	return r < 0 ? r
		     : store_do(c->s, e,
				"INSERT INTO reservation (sandbox, account, person, sheet, keeper,"
				" boot, state, idle, created, heartbeat, uid, up_boot, up_since)"
				" VALUES ($1, $2, $3, $4, $5, $6, 'open', 0, $7, $7,"
				" NULLIF(CAST($8 AS BIGINT), -1), NULLIF($9, ''), $10)",
				S_TEXT(sandbox), S_TEXT(account), S_TEXT(person), S_INT(sheet),
				S_INT(keeper), S_TEXT(boot), S_INT(c->now_ms), S_INT(c->uid),
				S_TEXT(c->boot), S_INT(c->up_ms));
}

static json_t *amounts(const struct ledger_ceiling of[LEDGER_DIMENSIONS])
{
	json_t *out = json_object();

	for (int d = 0; out && d < LEDGER_DIMENSIONS; d++) {
		if (json_put(out, ledger_dimension((enum ledger_dimension)d),
			     json_integer(of[d].most)) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* It has reserved, or somebody has said that it will not. */
static int check_new(struct ledger_call *c, const char *sandbox, struct err *e)
{
	int64_t known = 0;
	int r = store_ask(c->s, e, store_number, &known,
			  "SELECT (SELECT COUNT(*) FROM reservation WHERE sandbox = $1)"
			  " + (SELECT COUNT(*) FROM gone WHERE sandbox = $1)",
			  S_TEXT(sandbox));

	return r < 0   ? r
	       : known ? err_set(e, ERR_USER, EEXIST, "sandbox %s has reserved already", sandbox)
		       : 0;
}

int ledger_op_reserve(struct ledger_call *c, struct err *e)
{
	struct ledger_ceiling of[LEDGER_DIMENSIONS] = {};
	struct ledger_prices prices = {};
	struct ledger_account a;
	struct ledger_asking q = {.c = c, .account = &a, .of = of};
	const char *sandbox, *account;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_name(c, "account", &account, e);
	r = r < 0 ? r : take_ceilings(c, of, e);
	r = r < 0 ? r : ledger_find(c, account, &a, e);
	r = r < 0 ? r : ledger_check_open(c, account, e);
	r = r < 0 ? r : ledger_prices_find(c, &a, &prices, e);
	r = r < 0 ? r : price(&prices, of, e);
	r = r < 0 ? r : check_new(c, sandbox, e);
	if (r < 0) {
		return r;
	}
	q.priced = prices.sheet != 0;
	r = ledger_check_budgets(&q, account, e);
	r = r < 0 ? r : add_reservation(c, sandbox, account, prices.sheet, e);
	for (int d = 0; r >= 0 && d < LEDGER_DIMENSIONS; d++) {
		r = add_line(c, sandbox, (enum ledger_dimension)d, &of[d], e);
	}
	r = r < 0 ? r : ledger_use(c, account, LEDGER_SANDBOXES, "", 1, e);
	if (r < 0) {
		return r;
	}
	return json_put(c->out, "reserved", amounts(of)) < 0 ||
			       json_put(c->out, "currency", json_string(a.currency)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}
