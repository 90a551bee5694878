/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of models: reserved for each request, told when it was answered.
 *
 * They are not in the ceiling of a sandbox, for nobody knows at the start how many there will be. A
 * request to a model reserves the most that it can use before it is sent (token_hold), with the
 * same look at the budgets as a start; what it has used is told afterwards, and the rest is free.
 * What has not been told when the sandbox ends, or dies, counts as used.
 *
 * In a ledger that is served, what a user tells of beyond what a request has reserved is refused
 * where the budgets have no room for it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-held.h"
#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

/* Requests to models of one sandbox that have not been told. */
#define REQUESTS_MAX 256
/* What a model that an account has not used yet that day counts as: it is a row of that account and
 * of all above it, of which others' questions are answered, for ever. */
#define NAME_ROWS 200

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

/* Of a row that is there already, of `model_use`. */
#define ADD_UP(column) column " = " STORE_PLUS("model_use." column, "excluded." column)

static int add_model_use(struct ledger_call *c, const char *sandbox, const struct tokens *t,
			 int64_t cost, struct err *e)
{
	static const char sql[] =
		"INSERT INTO model_use (sandbox, model, version, tokens_in, tokens_out, money)"
		" VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (sandbox, model, version) DO UPDATE SET " ADD_UP(
			"tokens_in") ", " ADD_UP("tokens_out") ", " ADD_UP("money");

	return store_do(c->s, e, sql, S_TEXT(sandbox), S_TEXT(t->model), S_TEXT(t->version),
			S_INT(t->in), S_INT(t->out), S_INT(cost));
}

/* What is added to a line of a reservation: money is parameter 1. */
#define OF_TOKENS(n) \
	"(CASE dimension WHEN 'money' THEN CAST($1 AS BIGINT) ELSE CAST(" n " AS BIGINT) END)"
#define ADD_TO(column, n) column " = " STORE_PLUS(column, OF_TOKENS(n))

static int spend_tokens(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
			const struct tokens *t, int64_t *ret_cost, struct err *e)
{
	static const char sql[] = "UPDATE hold SET " ADD_TO("settled", "$2") ", " ADD_TO(
		"ceiling", "0") " WHERE sandbox = $3 AND dimension IN ('money', 'tokens')";
	int64_t cost = 0, n = t->in + t->out;
	int r = ledger_tokens_cost(c, h->sheet, t->model, t->in, t->out, &cost, e);

	r = r < 0 ? r : ledger_use(c, h->account, LEDGER_TOKENS, "", n, e);
	r = r < 0 ? r : ledger_use(c, h->account, LEDGER_TOKENS, t->model, n, e);
	r = r < 0 ? r : ledger_use(c, h->account, LEDGER_MONEY, "", cost, e);
	r = r < 0 ? r : store_do(c->s, e, sql, S_INT(cost), S_INT(n), S_TEXT(sandbox));
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
int ledger_spend_untold(struct ledger_call *c, const char *sandbox, struct ledger_held *h,
			struct err *e)
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
static int check_request(struct ledger_call *c, const struct ledger_held *h, const char *model,
			 int64_t tokens, int64_t cost, struct err *e)
{
	const struct ledger_ceiling of[LEDGER_DIMENSIONS] = {
		[LEDGER_MONEY] = {cost, 0}, [LEDGER_TOKENS] = {tokens, 0}};
	struct ledger_account a;
	struct ledger_asking q = {
		.c = c, .account = &a, .of = of, .model = model, .priced = h->sheet != 0};
	int r = ledger_find(c, h->account, &a, e);

	r = r < 0 ? r : ledger_check_open(c, h->account, e);
	r = r < 0 ? r : ledger_may_use(c, h->account, e);
	return r < 0 ? r : ledger_check_budgets(&q, h->account, e);
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
	struct ledger_held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_name(c, "request", &request, e);
	r = r < 0 ? r : ledger_text(c, "model", 128, NULL, &model, e);
	r = r < 0 ? r : ledger_amount(c->in, "in", -1, &in, e);
	r = r < 0 ? r : ledger_amount(c->in, "out", -1, &out, e);
	r = r < 0 ? r : ledger_held_find(c, sandbox, &h, e);
	if (r <= 0) {
		return r < 0 ? r : ledger_held_none(sandbox, e);
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
static int check_told(struct ledger_call *c, const struct ledger_held *h, const struct tokens *t,
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
	struct ledger_held h;
	int r = ledger_name(c, "sandbox", &sandbox, e);

	r = r < 0 ? r : ledger_text(c, "model", 128, NULL, &model, e);
	r = r < 0 ? r : ledger_text(c, "version", 128, "", &version, e);
	r = r < 0 ? r : ledger_amount(c->in, "in", -1, &in, e);
	r = r < 0 ? r : ledger_amount(c->in, "out", -1, &out, e);
	if (r >= 0 && json_object_get(c->in, "request")) {
		r = ledger_name(c, "request", &request, e);
	}
	r = r < 0 ? r : ledger_held_find(c, sandbox, &h, e);
	if (r <= 0) {
		return r < 0 ? r : ledger_held_none(sandbox, e);
	}
	t = (struct tokens){model, version, in, out};
	r = request ? end_request(c, sandbox, request, model, &reserved, &cost, e) : 0;
	r = r < 0 ? r : check_told(c, &h, &t, reserved, cost, e);
	r = r < 0 || request ? r : count_name(c, h.account, model, e);
	r = r < 0 ? r : count_model(c, sandbox, model, version, e);
	r = r < 0 ? r : spend_tokens(c, sandbox, &h, &t, &cost, e);
	r = r < 0 ? r : ledger_answer(c, &h, model, e);
	return r < 0                                               ? r
	       : json_put(c->out, "money", json_integer(cost)) < 0 ? ledger_no_memory(e)
								   : 0;
}
