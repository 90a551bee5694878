/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Price sheets: what a unit of each thing costs, from a day on.
 *
 * A sheet is never changed: new prices are a new sheet of the same name with a later day. What a
 * sandbox pays is the sheet that was in force when it was reserved, to its end. A price is for a
 * unit that people know (units[]); what is used is counted in much smaller ones, so that the
 * product of both is divided, once for all that a sandbox has used so far, and rounded up: many
 * small settlements cost what one large one does.
 */
#include <errno.h>
#include <string.h>

#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

/* How many of what is counted make the unit of a price. */
static const struct {
	enum ledger_dimension dimension;
	int64_t unit;
} units[] = {
	{LEDGER_CPU, 3600 * 1000LL},    /* a CPU for an hour */
	{LEDGER_MEMORY, 3600 * 1024LL}, /* a GiB for an hour */
	{LEDGER_WALL, 3600 * 1000LL},   /* an hour */
	{LEDGER_EGRESS, 1LL << 30},     /* a GiB */
};

#define TOKENS_UNIT 1000000LL

/* used * price / unit, rounded up, added to *sum. */
static int add_cost(int64_t used, int64_t price, int64_t unit, int64_t *sum, struct err *e)
{
	__int128 cost = ((__int128)used * price + unit - 1) / unit;

	if (cost > LEDGER_MOST || __builtin_add_overflow(*sum, (int64_t)cost, sum) ||
	    *sum > LEDGER_MOST) {
		return err_set(e, ERR_POLICY, EOVERFLOW,
			       "the cost is larger than the ledger holds");
	}
	return 0;
}

int ledger_cost(const struct ledger_prices *p, const int64_t used[LEDGER_DIMENSIONS], int64_t *ret,
		struct err *e)
{
	int64_t sum = 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(units) && r >= 0; i++) {
		r = add_cost(used[units[i].dimension], p->of[units[i].dimension], units[i].unit,
			     &sum, e);
	}
	*ret = sum;
	return r;
}

static int take_price(void *arg, const struct store_cell *cells, struct err *e)
{
	struct ledger_prices *p = arg;
	int d = ledger_dimension_of(cells[0].text ? cells[0].text : "");

	(void)e;
	if (d >= 0) {
		p->of[d] = cells[1].num;
	}
	return 0;
}

int ledger_prices_of(struct ledger_call *c, int64_t sheet, struct ledger_prices *ret, struct err *e)
{
	*ret = (struct ledger_prices){.sheet = sheet};
	return sheet == 0 ? 0
			  : store_ask(c->s, e, take_price, ret,
				      "SELECT item, amount FROM price WHERE sheet = $1"
				      " AND model = ''",
				      S_INT(sheet));
}

int ledger_prices_find(struct ledger_call *c, const struct ledger_account *a,
		       struct ledger_prices *ret, struct err *e)
{
	int64_t sheet = 0;
	int r = store_ask(c->s, e, store_number, &sheet,
			  "SELECT id FROM sheet WHERE name = $1 AND currency = $2 AND since <= $3"
			  " ORDER BY since DESC LIMIT 1",
			  S_TEXT(a->prices), S_TEXT(a->currency), S_INT(ledger_day(c->now_ms)));

	return r < 0 ? r : ledger_prices_of(c, sheet, ret, e);
}

struct token_price {
	int64_t in, out;
	bool seen_in, seen_out;
};

/* That of the model comes behind that of all models. */
static int take_token_price(void *arg, const struct store_cell *cells, struct err *e)
{
	struct token_price *p = arg;

	(void)e;
	if (cells[0].text && strcmp(cells[0].text, "tokens-in") == 0) {
		p->in = cells[1].num;
		p->seen_in = true;
	} else {
		p->out = cells[1].num;
		p->seen_out = true;
	}
	return 0;
}

int ledger_tokens_cost(struct ledger_call *c, int64_t sheet, const char *model, int64_t in,
		       int64_t out, int64_t *ret, struct err *e)
{
	struct token_price p = {};
	int r = store_ask(c->s, e, take_token_price, &p,
			  "SELECT item, amount FROM price WHERE sheet = $1"
			  " AND item IN ('tokens-in', 'tokens-out') AND model IN ('*', $2)"
			  " ORDER BY CASE WHEN model = '*' THEN 0 ELSE 1 END",
			  S_INT(sheet), S_TEXT(model));

	*ret = 0;
	if (r >= 0 && sheet != 0 && !(p.seen_in && p.seen_out)) {
		return err_set(e, ERR_POLICY, ENOENT,
			       "the prices have none for model '%s'; add one for it, or for '*'",
			       model);
	}
	r = r < 0 ? r : add_cost(in, p.in, TOKENS_UNIT, ret, e);
	return r < 0 ? r : add_cost(out, p.out, TOKENS_UNIT, ret, e);
}

/* ---- adding ---- */

static int put_price(struct ledger_call *c, int64_t sheet, const char *item, const char *model,
		     const json_t *in, const char *key, struct err *e)
{
	int64_t amount;
	int r = ledger_amount(in, key, -1, &amount, e);

	return r < 0 ? r
		     : store_do(c->s, e,
				"INSERT INTO price (sheet, item, model, amount)"
				" VALUES ($1, $2, $3, $4)",
				S_INT(sheet), S_TEXT(item), S_TEXT(model), S_INT(amount));
}

static bool has_price(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(ledger_dimension(units[i].dimension), word) == 0) {
			return true;
		}
	}
	return false;
}

static int put_all(struct ledger_call *c, int64_t sheet, struct err *e)
{
	json_t *prices = json_object_get(c->in, "prices");
	json_t *models = json_object_get(c->in, "models");
	const char *key;
	json_t *v;
	int r = 0;

	json_object_foreach(prices, key, v)
	{
		if (!has_price(key)) {
			return err_set(e, ERR_USER, EINVAL,
				       "there is no price of '%s'; cpu, memory, wall or egress",
				       key);
		}
		r = put_price(c, sheet, key, "", prices, key, e);
		if (r < 0) {
			return r;
		}
	}
	json_object_foreach(models, key, v)
	{
		if (!*key || strlen(key) > 128) {
			return err_set(e, ERR_USER, EINVAL, "the name of a model is too long");
		}
		r = put_price(c, sheet, "tokens-in", key, v, "in", e);
		r = r < 0 ? r : put_price(c, sheet, "tokens-out", key, v, "out", e);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int ledger_op_price_add(struct ledger_call *c, struct err *e)
{
	const char *name, *currency, *since;
	int64_t day = ledger_day(c->now_ms), sheet = 0, there = 0;
	char today[16];
	int r = ledger_name(c, "name", &name, e);

	ledger_day_text(day, today);
	r = r < 0 ? r : ledger_text(c, "currency", 3, NULL, &currency, e);
	r = r < 0 ? r : ledger_text(c, "since", 10, today, &since, e);
	r = r < 0 ? r : ledger_day_parse(since, &day, e);
	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &there,
			      "SELECT COUNT(*) FROM sheet WHERE name = $1 AND currency = $2"
			      " AND since = $3",
			      S_TEXT(name), S_TEXT(currency), S_INT(day));
	if (r >= 0 && there) {
		return err_set(e, ERR_USER, EEXIST,
			       "there are prices '%s' in %s from %s on, and prices are never "
			       "changed; add some that begin on another day",
			       name, currency, since);
	}
	r = r < 0 ? r
		  : store_run(c->s, "SELECT COALESCE(MAX(id), 0) + 1 FROM sheet", NULL, 0,
			      store_number, &sheet, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "INSERT INTO sheet (id, name, since, currency)"
			     " VALUES ($1, $2, $3, $4)",
			     S_INT(sheet), S_TEXT(name), S_INT(day), S_TEXT(currency));
	r = r < 0 ? r : put_all(c, sheet, e);
	return r < 0                                               ? r
	       : json_put(c->out, "since", json_string(since)) < 0 ? ledger_no_memory(e)
								   : 0;
}

/* ---- showing ---- */

static int add_row(void *arg, const struct store_cell *cells, struct err *e)
{
	char since[16];
	json_t *row;

	ledger_day_text(cells[2].num, since);
	row = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:I}", "name", cells[0].text, "currency",
			cells[1].text, "since", since, "item", cells[3].text, "model",
			cells[4].text && *cells[4].text ? cells[4].text : NULL, "price",
			(json_int_t)cells[5].num);
	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_price_show(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	const char *name;
	int64_t from;
	int r = ledger_text(c, "name", LEDGER_NAME_MAX, "", &name, e);

	r = r < 0 ? r : ledger_amount(c->in, "from", 0, &from, e);
	r = r < 0 ? r
		  : store_ask(c->s, e, add_row, list,
			      "SELECT s.name, s.currency, s.since, p.item, p.model, p.amount"
			      " FROM sheet s JOIN price p ON p.sheet = s.id"
			      " WHERE ($1 = '' OR s.name = $1) AND (CAST($4 AS BIGINT) < 1 OR"
			      " EXISTS (SELECT 1 FROM account a WHERE a.prices = s.name"
			      " AND a.currency = s.currency AND " LEDGER_SEES(
				      "$4", "a.name") "))"
						      " ORDER BY s.name, s.currency, s.since, "
						      "p.item, p.model"
						      " LIMIT $2 OFFSET $3",
			      S_TEXT(name), S_INT(LEDGER_PAGE), S_INT(from), S_INT(c->uid));
	return r < 0 ? r : json_object_set(c->out, "prices", list) < 0 ? ledger_no_memory(e) : 0;
}
