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
 * Tokens of models are not in the ceiling, for nobody knows at the start how many there will be. A
 * request to a model reserves the most that it can use before it is sent (token_hold), with the
 * same look at the budgets; what it has used is told afterwards, and the rest is free. What has not
 * been told when the sandbox ends, or dies, counts as used.
 *
 * In a ledger that is served, wall time is at least that for which the reservation has been open,
 * whatever is told: by the clock of the host that nobody sets, or, after that was started again, by
 * the wall clock and within the ceiling. Tearing down is not held against a sandbox (GRACE_MS).
 * What a user tells of beyond what was reserved ends their sandbox, and is not spent: whoever
 * shares the account would be ended by a lie. Of tokens that is refused for which the budgets have
 * no room.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

#define GRACE_MS 10000
/* Requests to models of one sandbox that have not been told. */
#define REQUESTS_MAX 256
/* What a model that an account has not used yet that day counts as: it is a row of that account and
 * of all above it, of which others' questions are answered, for ever. */
#define NAME_ROWS 200

/* A sandbox as the ledger has it. */
struct held {
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

/* Those that the keeper tells of; money and tokens follow from others. */
static const enum ledger_dimension told[] = {LEDGER_CPU, LEDGER_MEMORY, LEDGER_WALL, LEDGER_EGRESS};

static int take_held(void *arg, const struct store_cell *cells, struct err *e)
{
	struct held *h = arg;

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
	struct held *h = arg;
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
static int find_held(struct ledger_call *c, const char *sandbox, struct held *h, struct err *e)
{
	int r;

	*h = (struct held){};
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

static int no_such(const char *sandbox, struct err *e)
{
	return err_set(e, ERR_POLICY, ESTALE, "the ledger holds nothing for sandbox %s", sandbox);
}

/* Counts it as used today, for the account and all above it. */
static int use(struct ledger_call *c, const char *account, enum ledger_dimension d,
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

static int add_line(struct ledger_call *c, const char *sandbox, enum ledger_dimension d,
		    const struct ledger_ceiling *l, struct err *e)
{
	return store_do(c->s, e,
			"INSERT INTO hold (sandbox, dimension, ceiling, step, settled)"
			" VALUES ($1, $2, $3, $4, 0)",
			S_TEXT(sandbox), S_TEXT(ledger_dimension(d)), S_INT(l->most),
			S_INT(l->step));
}

/* ---- reserve ---- */

struct asking {
	struct ledger_call *c;
	const struct ledger_account *account;
	const struct ledger_ceiling *of;
	const char *model; /* of a request; NULL: a start */
	bool priced;
};

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

static int refuse(const struct asking *q, const struct ledger_budget *b, int64_t asked,
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
	const struct asking *q = arg;
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

static int check_closed(struct ledger_call *c, const char *account, struct err *e)
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
	struct asking q = {.c = c, .account = &a, .of = of};
	const char *sandbox, *account;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_name(c, "account", &account, e);
	r = r < 0 ? r : take_ceilings(c, of, e);
	r = r < 0 ? r : ledger_find(c, account, &a, e);
	r = r < 0 ? r : check_closed(c, account, e);
	r = r < 0 ? r : ledger_prices_find(c, &a, &prices, e);
	r = r < 0 ? r : price(&prices, of, e);
	r = r < 0 ? r : check_new(c, sandbox, e);
	if (r < 0) {
		return r;
	}
	q.priced = prices.sheet != 0;
	r = ledger_budgets(c, account, check_budget, &q, e);
	r = r < 0 ? r : add_reservation(c, sandbox, account, prices.sheet, e);
	for (int d = 0; r >= 0 && d < LEDGER_DIMENSIONS; d++) {
		r = add_line(c, sandbox, (enum ledger_dimension)d, &of[d], e);
	}
	r = r < 0 ? r : use(c, account, LEDGER_SANDBOXES, "", 1, e);
	if (r < 0) {
		return r;
	}
	return json_put(c->out, "reserved", amounts(of)) < 0 ||
			       json_put(c->out, "currency", json_string(a.currency)) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

/* ---- settle ---- */

static int set_line(struct ledger_call *c, const char *sandbox, const struct held *h,
		    enum ledger_dimension d, int64_t settled, struct err *e)
{
	int r = settled == h->settled[d]
			? 0
			: store_do(c->s, e,
				   "UPDATE hold SET settled = $1 WHERE sandbox = $2"
				   " AND dimension = $3",
				   S_INT(settled), S_TEXT(sandbox), S_TEXT(ledger_dimension(d)));

	return r < 0 ? r : use(c, h->account, d, "", settled - h->settled[d], e);
}

/* What it has used so far becomes what it has spent. */
static int move(struct ledger_call *c, const char *sandbox, struct held *h,
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

struct judging {
	const struct held *h;
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

static int answer(struct ledger_call *c, const struct held *h, const char *model, struct err *e)
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

/* For how long it has been open, as far as that counts; nobody is held to it in a ledger of their
 * own. */
static int64_t open_for(const struct ledger_call *c, const struct held *h)
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
static int take_usage(struct ledger_call *c, const char **sandbox, struct held *h,
		      int64_t used[LEDGER_DIMENSIONS], struct err *e)
{
	const json_t *in = json_object_get(c->in, "used");
	int r = ledger_name(c, "sandbox", sandbox, e);

	for (size_t i = 0; i < ARRAY_SIZE(told) && r >= 0; i++) {
		r = ledger_amount(in, ledger_dimension(told[i]), 0, &used[told[i]], e);
	}
	r = r < 0 ? r : find_held(c, *sandbox, h, e);
	if (r <= 0) {
		return r < 0 ? r : no_such(*sandbox, e);
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
	struct held h;
	int r = take_usage(c, &sandbox, &h, used, e);

	r = r < 0 ? r : move(c, sandbox, &h, used, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "UPDATE reservation SET heartbeat = $1, idle = $2 WHERE sandbox = $3",
			     S_INT(c->now_ms), S_INT(json_is_true(json_object_get(c->in, "idle"))),
			     S_TEXT(sandbox));
	return r < 0 ? r : answer(c, &h, NULL, e);
}

/* ---- tokens that were used ---- */

struct tokens {
	const char *model, *version;
	int64_t in, out;
};

/* A model that the sandbox has not used yet is a row more. */
static int count_model(struct ledger_call *c, const char *sandbox, const char *model,
		       const char *version, struct err *e)
{
	int64_t there = 0;
	int r = store_ask(c->s, e, store_number, &there,
			  "SELECT COUNT(*) FROM model_use WHERE sandbox = $1 AND model = $2"
			  " AND version = $3",
			  S_TEXT(sandbox), S_TEXT(model), S_TEXT(version));

	return r < 0 || there ? r : ledger_count_row(c, e);
}

static int count_name(struct ledger_call *c, const char *account, const char *model, struct err *e)
{
	int64_t there = 0;
	int r = store_ask(c->s, e, store_number, &there,
			  "SELECT (SELECT COUNT(*) FROM used WHERE account = $1"
			  " AND dimension = 'tokens' AND model = $2 AND day = $3)"
			  " + (SELECT COUNT(*) FROM token_hold WHERE account = $1 AND model = $2)",
			  S_TEXT(account), S_TEXT(model), S_INT(ledger_day(c->now_ms)));

	return r < 0 || there ? r : ledger_count_rows(c, NAME_ROWS, e);
}

/* One that is asked for will be a row, told or not: an end is not refused for it. */
static int count_asked(struct ledger_call *c, const char *sandbox, const char *account,
		       const char *model, struct err *e)
{
	int64_t there = 0;
	int r = store_ask(
		c->s, e, store_number, &there,
		"SELECT (SELECT COUNT(*) FROM model_use WHERE sandbox = $1 AND model = $2)"
		" + (SELECT COUNT(*) FROM token_hold WHERE sandbox = $1 AND model = $2)",
		S_TEXT(sandbox), S_TEXT(model));

	r = r < 0 || there ? r : ledger_count_row(c, e);
	return r < 0 || there ? r : count_name(c, account, model, e);
}

static int add_model_use(struct ledger_call *c, const char *sandbox, const struct tokens *t,
			 int64_t cost, struct err *e)
{
	return store_do(
		c->s, e,
		"INSERT INTO model_use (sandbox, model, version, tokens_in,"
		" tokens_out, money) VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (sandbox, model, version) DO UPDATE SET"
		" tokens_in = " STORE_PLUS(
			"model_use.tokens_in",
			"excluded.tokens_in") ", tokens_out = " STORE_PLUS("model_use."
									   "tokens_out",
									   "excluded."
									   "tokens_out") ", money "
											 "="
											 " " STORE_PLUS(
												 "m"
												 "o"
												 "d"
												 "e"
												 "l"
												 "_"
												 "u"
												 "s"
												 "e"
												 "."
												 "m"
												 "o"
												 "n"
												 "e"
												 "y",
												 "e"
												 "x"
												 "c"
												 "l"
												 "u"
												 "d"
												 "e"
												 "d"
												 "."
												 "m"
												 "o"
												 "n"
												 "e"
												 "y"),
		S_TEXT(sandbox), S_TEXT(t->model), S_TEXT(t->version), S_INT(t->in), S_INT(t->out),
		S_INT(cost));
}

/* What is added to a line of a reservation: money is parameter 1. */
#define OF_TOKENS(n) \
	"(CASE dimension WHEN 'money' THEN CAST($1 AS BIGINT) ELSE CAST(" n " AS BIGINT) END)"

static int spend_tokens(struct ledger_call *c, const char *sandbox, struct held *h,
			const struct tokens *t, int64_t *ret_cost, struct err *e)
{
	int64_t cost = 0, n = t->in + t->out;
	int r = ledger_tokens_cost(c, h->sheet, t->model, t->in, t->out, &cost, e);

	r = r < 0 ? r : use(c, h->account, LEDGER_TOKENS, "", n, e);
	r = r < 0 ? r : use(c, h->account, LEDGER_TOKENS, t->model, n, e);
	r = r < 0 ? r : use(c, h->account, LEDGER_MONEY, "", cost, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "UPDATE hold SET settled = " STORE_PLUS(
				     "settled",
				     OF_TOKENS(
					     "$2")) ", ceiling = " STORE_PLUS("ceiling",
									      OF_TOKENS(
										      "0")) " WHERE"
											    " sandb"
											    "ox = "
											    "$3 "
											    "AND "
											    "dimens"
											    "ion "
											    "IN "
											    "('"
											    "money'"
											    ", "
											    "'token"
											    "s')",
			     S_INT(cost), S_INT(n), S_TEXT(sandbox));
	r = r < 0 ? r : add_model_use(c, sandbox, t, cost, e);
	h->settled[LEDGER_TOKENS] += n;
	h->settled[LEDGER_MONEY] += cost;
	/* What tokens cost was not in the ceiling, and takes nothing away from what was. */
	h->ceiling[LEDGER_MONEY] += cost;
	*ret_cost = cost;
	return r < 0 ? r : 0;
}

struct untold {
	struct {
		char model[129];
		int64_t in, out;
	} of[REQUESTS_MAX];
	size_t n;
};

static int take_untold(void *arg, const struct store_cell *cells, struct err *e)
{
	struct untold *u = arg;

	if (u->n == REQUESTS_MAX) {
		return err_set(e, ERR_SYSTEM, EBADMSG, "the ledger holds too many requests");
	}
	(void)snprintf(u->of[u->n].model, sizeof(u->of[0].model), "%s",
		       cells[0].text ? cells[0].text : "");
	u->of[u->n].in = cells[1].num;
	u->of[u->n++].out = cells[2].num;
	return 0;
}

/* Of requests that were sent, for all that is known, and whose use nobody has told. */
static int spend_untold(struct ledger_call *c, const char *sandbox, struct held *h, struct err *e)
{
	_cleanup_free_ struct untold *u = calloc(1, sizeof(*u));
	int64_t cost;
	int r = u ? store_ask(c->s, e, take_untold, u,
			      "SELECT model, tokens_in, tokens_out FROM token_hold"
			      " WHERE sandbox = $1",
			      S_TEXT(sandbox))
		  : ledger_no_memory(e);

	for (size_t i = 0; r >= 0 && i < u->n; i++) {
		r = spend_tokens(c, sandbox, h,
				 &(struct tokens){u->of[i].model, "", u->of[i].in, u->of[i].out},
				 &cost, e);
	}
	if (r < 0 || u->n == 0) {
		return r;
	}
	r = store_do(c->s, e, "DELETE FROM token_hold WHERE sandbox = $1", S_TEXT(sandbox));
	return r < 0 ? r
		     : store_do(c->s, e, "UPDATE hold SET asked = 0 WHERE sandbox = $1",
				S_TEXT(sandbox));
}

static int finish(struct ledger_call *c, const char *sandbox, struct held *h, const char *state,
		  struct err *e)
{
	_cleanup_json_ json_t *spent = json_object();
	struct ledger_account a;
	int r = store_do(c->s, e,
			 "UPDATE reservation SET state = $1, idle = 0, heartbeat = $2"
			 " WHERE sandbox = $3",
			 S_TEXT(state), S_INT(c->now_ms), S_TEXT(sandbox));

	r = r < 0 ? r : spend_untold(c, sandbox, h, e);
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
	struct held h;
	int r = take_usage(c, &sandbox, &h, used, e);

	r = r < 0 ? r : move(c, sandbox, &h, used, e);
	return r < 0 ? r : finish(c, sandbox, &h, "settled", e);
}

/* It holds nothing: not any more, or not yet. */
static int nothing_held(struct ledger_call *c, const char *sandbox, const struct held *h,
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
	struct held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : find_held(c, sandbox, &h, e);
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

/* ---- tokens ---- */

static int count_requests(struct ledger_call *c, const char *sandbox, const char *request,
			  struct err *e)
{
	int64_t there = 0, same = 0;
	int r = store_ask(c->s, e, store_number, &there,
			  "SELECT COUNT(*) FROM token_hold WHERE sandbox = $1", S_TEXT(sandbox));

	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &same,
			      "SELECT COUNT(*) FROM token_hold WHERE sandbox = $1 AND request = $2",
			      S_TEXT(sandbox), S_TEXT(request));
	if (r >= 0 && same) {
		return err_set(e, ERR_USER, EEXIST, "request %s has reserved already", request);
	}
	return r >= 0 && there >= REQUESTS_MAX ? err_set(e, ERR_POLICY, EDQUOT,
							 "sandbox %s has %d requests to models on "
							 "their way; wait until one "
							 "has been answered",
							 sandbox, REQUESTS_MAX)
					       : r;
}

/* The sandbox goes on with what it has reserved; a request is something new. */
static int check_request(struct ledger_call *c, const struct held *h, const char *model,
			 int64_t tokens, int64_t cost, struct err *e)
{
	const struct ledger_ceiling of[LEDGER_DIMENSIONS] = {
		[LEDGER_MONEY] = {cost, 0}, [LEDGER_TOKENS] = {tokens, 0}};
	struct ledger_account a;
	struct asking q = {
		.c = c, .account = &a, .of = of, .model = model, .priced = h->sheet != 0};
	int r = ledger_find(c, h->account, &a, e);

	r = r < 0 ? r : check_closed(c, h->account, e);
	r = r < 0 ? r : ledger_may_use(c, h->account, e);
	return r < 0 ? r : ledger_budgets(c, h->account, check_budget, &q, e);
}

/* A sum that cannot be told could not be released either. */
static int check_sum(struct ledger_call *c, const char *sandbox, int64_t tokens, int64_t money,
		     struct err *e)
{
	int64_t over = 0;
	int r = store_ask(c->s, e, store_number, &over,
			  "SELECT COUNT(*) FROM hold WHERE sandbox = $1 AND asked > CASE dimension"
			  " WHEN 'money' THEN CAST($2 AS BIGINT) WHEN 'tokens' THEN"
			  " CAST($3 AS BIGINT) ELSE asked END",
			  S_TEXT(sandbox), S_INT(LEDGER_MOST - money), S_INT(LEDGER_MOST - tokens));

	return r < 0  ? r
	       : over ? err_set(e, ERR_POLICY, EDQUOT,
				"the requests of sandbox %s would be more than the ledger holds",
				sandbox)
		      : 0;
}

/* For requests that have not been told. */
static int ask_more(struct ledger_call *c, const char *sandbox, int64_t tokens, int64_t money,
		    struct err *e)
{
	return store_do(c->s, e,
			"UPDATE hold SET asked = asked + CASE dimension"
			" WHEN 'money' THEN CAST($1 AS BIGINT) ELSE CAST($2 AS BIGINT) END"
			" WHERE sandbox = $3 AND dimension IN ('money', 'tokens')",
			S_INT(money), S_INT(tokens), S_TEXT(sandbox));
}

int ledger_op_tokens_reserve(struct ledger_call *c, struct err *e)
{
	const char *sandbox, *request, *model;
	int64_t in, out, cost = 0;
	struct held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_name(c, "request", &request, e);
	r = r < 0 ? r : ledger_text(c, "model", 128, NULL, &model, e);
	r = r < 0 ? r : ledger_amount(c->in, "in", -1, &in, e);
	r = r < 0 ? r : ledger_amount(c->in, "out", -1, &out, e);
	r = r < 0 ? r : find_held(c, sandbox, &h, e);
	if (r <= 0) {
		return r < 0 ? r : no_such(sandbox, e);
	}
	r = count_requests(c, sandbox, request, e);
	r = r < 0 ? r : ledger_tokens_cost(c, h.sheet, model, in, out, &cost, e);
	r = r < 0 ? r : check_sum(c, sandbox, in + out, cost, e);
	r = r < 0 ? r : check_request(c, &h, model, in + out, cost, e);
	r = r < 0 ? r : count_asked(c, sandbox, h.account, model, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "INSERT INTO token_hold (sandbox, request, account, model, tokens_in,"
			     " tokens_out, money) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			     S_TEXT(sandbox), S_TEXT(request), S_TEXT(h.account), S_TEXT(model),
			     S_INT(in), S_INT(out), S_INT(cost));
	r = r < 0 ? r : ask_more(c, sandbox, in + out, cost, e);
	return r < 0                                               ? r
	       : json_put(c->out, "money", json_integer(cost)) < 0 ? ledger_no_memory(e)
								   : 0;
}

struct request {
	char model[129];
	int64_t tokens, money;
	bool there;
};

static int take_request(void *arg, const struct store_cell *cells, struct err *e)
{
	struct request *q = arg;

	(void)e;
	(void)snprintf(q->model, sizeof(q->model), "%s", cells[0].text ? cells[0].text : "");
	q->tokens = cells[1].num + cells[2].num;
	q->money = cells[3].num;
	q->there = true;
	return 0;
}

/* What was reserved for the request, which has been answered: it is told once. */
static int end_request(struct ledger_call *c, const char *sandbox, const char *request,
		       const char *model, int64_t *ret_tokens, int64_t *ret_money, struct err *e)
{
	struct request q = {};
	int r = store_ask(c->s, e, take_request, &q,
			  "SELECT model, tokens_in, tokens_out, money FROM token_hold"
			  " WHERE sandbox = $1 AND request = $2",
			  S_TEXT(sandbox), S_TEXT(request));

	if (r >= 0 && (!q.there || strcmp(q.model, model) != 0)) {
		return err_set(e, ERR_POLICY, ESTALE,
			       "request %s of sandbox %s has reserved nothing of model '%s', or "
			       "has been told already",
			       request, sandbox, model);
	}
	r = r < 0 ? r
		  : store_do(c->s, e, "DELETE FROM token_hold WHERE sandbox = $1 AND request = $2",
			     S_TEXT(sandbox), S_TEXT(request));
	*ret_tokens = q.tokens;
	*ret_money = q.money;
	return r < 0 ? r : ask_more(c, sandbox, -q.tokens, -q.money, e);
}

/* What a user tells of beyond what the request has reserved, here already given back, is new. */
static int check_told(struct ledger_call *c, const struct held *h, const struct tokens *t,
		      int64_t reserved, int64_t paid, struct err *e)
{
	int64_t cost, n = t->in + t->out;
	int r = ledger_tokens_cost(c, h->sheet, t->model, t->in, t->out, &cost, e);

	return r < 0 || c->uid <= 0 || (n <= reserved && cost <= paid)
		       ? r
		       : check_request(c, h, t->model, n, cost, e);
}

int ledger_op_tokens(struct ledger_call *c, struct err *e)
{
	const char *sandbox, *model, *version, *request = NULL;
	int64_t in, out, reserved = 0, cost = 0;
	struct tokens t;
	struct held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_text(c, "model", 128, NULL, &model, e);
	r = r < 0 ? r : ledger_text(c, "version", 128, "", &version, e);
	r = r < 0 ? r : ledger_amount(c->in, "in", -1, &in, e);
	r = r < 0 ? r : ledger_amount(c->in, "out", -1, &out, e);
	if (r >= 0 && json_object_get(c->in, "request")) {
		r = ledger_name(c, "request", &request, e);
	}
	r = r < 0 ? r : find_held(c, sandbox, &h, e);
	if (r <= 0) {
		return r < 0 ? r : no_such(sandbox, e);
	}
	t = (struct tokens){model, version, in, out};
	r = request ? end_request(c, sandbox, request, model, &reserved, &cost, e) : 0;
	r = r < 0 ? r : check_told(c, &h, &t, reserved, cost, e);
	r = r < 0 || request ? r : count_name(c, h.account, model, e);
	r = r < 0 ? r : count_model(c, sandbox, model, version, e);
	r = r < 0 ? r : spend_tokens(c, sandbox, &h, &t, &cost, e);
	r = r < 0 ? r : answer(c, &h, model, e);
	return r < 0                                               ? r
	       : json_put(c->out, "money", json_integer(cost)) < 0 ? ledger_no_memory(e)
								   : 0;
}
