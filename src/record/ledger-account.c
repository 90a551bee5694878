/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, and the budgets that bind them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "record/ledger-internal.h"
#include "record/ledger-rights.h"

#define DEFAULT_CURRENCY "USD"
#define DEFAULT_PRICES   "default"
#define DEFAULT_WARN     80

static void keep(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from ? from : "");
}

static int take_account(void *arg, const struct store_cell *cells, struct err *e)
{
	struct ledger_account *a = arg;

	(void)e;
	keep(a->name, sizeof(a->name), cells[0].text);
	keep(a->currency, sizeof(a->currency), cells[1].text);
	keep(a->prices, sizeof(a->prices), cells[2].text);
	return 0;
}

int ledger_find(struct ledger_call *c, const char *name, struct ledger_account *ret, struct err *e)
{
	int n = store_ask(c->s, e, take_account, ret,
			  "SELECT name, currency, prices FROM account WHERE name = $1",
			  S_TEXT(name));

	return n != 0 ? n
		      : err_set(e, ERR_POLICY, ENOENT,
				"there is no account '%s'; 'atoll account list' shows those there "
				"are, 'atoll account create %s' makes it",
				name, name);
}

/* ---- making and closing ---- */

static bool is_currency(const char *s)
{
	return strlen(s) == 3 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

/* The accounts above are those of the parent, and the parent. */
static int add_chain(struct ledger_call *c, const char *name, const char *parent, struct err *e)
{
	int64_t depth = 0;
	int r = store_do(c->s, e, "INSERT INTO chain (account, above, far) VALUES ($1, $1, 0)",
			 S_TEXT(name));

	if (r < 0 || !*parent) {
		return r;
	}
	r = store_do(c->s, e,
		     "INSERT INTO chain (account, above, far)"
		     " SELECT CAST($1 AS TEXT), above, far + 1 FROM chain WHERE account = $2",
		     S_TEXT(name), S_TEXT(parent));
	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &depth,
			      "SELECT COUNT(*) FROM chain WHERE account = $1", S_TEXT(name));
	return r >= 0 && depth > LEDGER_DEPTH
		       ? err_set(e, ERR_USER, ELOOP,
				 "accounts are nested at most %d deep; choose a parent further up",
				 LEDGER_DEPTH)
		       : r;
}

/* A parent's currency is its children's. */
static int take_parent(struct ledger_call *c, const char *parent, const char **currency,
		       const char **prices, struct ledger_account *above, struct err *e)
{
	int64_t closed = 0;
	int r = ledger_find(c, parent, above, e);

	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &closed,
			      "SELECT COUNT(*) FROM account WHERE name = $1 AND closed IS NOT NULL",
			      S_TEXT(parent));
	if (r < 0) {
		return r;
	}
	if (closed) {
		return err_set(e, ERR_USER, EPERM, "the account '%s' is closed", parent);
	}
	if (**currency && strcmp(*currency, above->currency) != 0) {
		return err_set(e, ERR_USER, EINVAL,
			       "the currency of '%s' is %s, and that of what is below it too",
			       parent, above->currency);
	}
	*currency = above->currency;
	*prices = **prices ? *prices : above->prices;
	return 0;
}

int ledger_op_create(struct ledger_call *c, struct err *e)
{
	const char *name, *parent = "", *currency, *prices;
	struct ledger_account above = {};
	int64_t there = 0;
	int r = ledger_name(c, "account", &name, e);

	r = r < 0 ? r : ledger_text(c, "currency", 3, "", &currency, e);
	r = r < 0 ? r : ledger_text(c, "prices", LEDGER_NAME_MAX, "", &prices, e);
	if (r >= 0 && json_object_get(c->in, "parent")) {
		r = ledger_name(c, "parent", &parent, e);
		r = r < 0 ? r : take_parent(c, parent, &currency, &prices, &above, e);
	}
	r = r < 0 ? r
		  : store_ask(c->s, e, store_number, &there,
			      "SELECT COUNT(*) FROM account WHERE name = $1", S_TEXT(name));
	if (r < 0) {
		return r;
	}
	currency = *currency ? currency : DEFAULT_CURRENCY;
	if (there) {
		return err_set(e, ERR_USER, EEXIST,
			       "there is an account '%s' already; names stand for one account for "
			       "ever",
			       name);
	}
	if (!is_currency(currency)) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is no currency; write it as EUR",
			       currency);
	}
	r = store_do(c->s, e,
		     "INSERT INTO account (name, parent, currency, prices, created) VALUES"
		     " ($1, NULLIF($2, ''), $3, $4, $5)",
		     S_TEXT(name), S_TEXT(parent), S_TEXT(currency),
		     S_TEXT(*prices ? prices : DEFAULT_PRICES), S_INT(c->now_ms));
	return r < 0 ? r : add_chain(c, name, parent, e);
}

int ledger_op_close(struct ledger_call *c, struct err *e)
{
	struct ledger_account a;
	const char *name;
	int r = ledger_name(c, "account", &name, e);

	r = r < 0 ? r : ledger_find(c, name, &a, e);
	r = r < 0 ? r
		  : store_do(c->s, e,
			     "UPDATE account SET closed = $1 WHERE name = $2 AND closed IS NULL",
			     S_INT(c->now_ms), S_TEXT(name));
	return r != 0 ? r
		      : err_set(e, ERR_USER, EALREADY, "the account '%s' is closed already", name);
}

/* ---- showing ---- */

static int add_row(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row = json_pack("{s:s, s:s?, s:s, s:s, s:I, s:b, s:I}", "account", cells[0].text,
				"parent", cells[1].text, "currency", cells[2].text, "prices",
				cells[3].text, "created_ms", (json_int_t)cells[4].num, "closed",
				cells[5].num > 0, "sandboxes", (json_int_t)cells[6].num);

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

#define ROW                                                                                \
	"SELECT a.name, a.parent, a.currency, a.prices, a.created, COALESCE(a.closed, 0)," \
	" (SELECT COUNT(*) FROM chain d JOIN reservation r ON r.account = d.account"       \
	" WHERE d.above = a.name AND r.state = 'open') FROM account a"

int ledger_op_list(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	const char *after;
	int r = ledger_text(c, "after", LEDGER_NAME_MAX, "", &after, e);

	r = r < 0 ? r
		  : store_ask(c->s, e, add_row, list,
			      ROW " WHERE a.name > $1 AND " LEDGER_SEES(
				      "$3", "a.name") " ORDER BY a.name LIMIT $2",
			      S_TEXT(after), S_INT(LEDGER_PAGE), S_INT(c->uid));
	return r < 0 ? r : json_object_set(c->out, "accounts", list) < 0 ? ledger_no_memory(e) : 0;
}

static int add_budget(void *arg, const struct ledger_budget *b, struct err *e)
{
	int64_t left = b->amount - b->spent - b->held;
	json_t *row =
		json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:I}", "account", b->account,
			  "dimension", ledger_dimension(b->dimension), "period", b->period, "model",
			  *b->model ? b->model : NULL, "amount", (json_int_t)b->amount, "spent",
			  (json_int_t)b->spent, "reserved", (json_int_t)b->held, "left",
			  (json_int_t)(left > 0 ? left : 0), "warn", (json_int_t)b->warn);

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

static int add_user(void *arg, const struct store_cell *cells, struct err *e)
{
	json_t *row =
		json_pack("{s:I, s:s}", "uid", (json_int_t)cells[0].num, "account", cells[1].text);

	return !row || json_array_append_new(arg, row) < 0 ? ledger_no_memory(e) : 0;
}

/* Who may use it, by which account: for whoever can change that. */
static int put_users(struct ledger_call *c, const char *account, struct err *e)
{
	_cleanup_json_ json_t *users = json_array();
	int r;

	if (c->uid != 0) {
		return 0;
	}
	r = store_ask(c->s, e, add_user, users,
		      "SELECT uid, above FROM chain JOIN member ON member.account = above"
		      " WHERE chain.account = $1 ORDER BY uid, far",
		      S_TEXT(account));
	return r < 0 ? r : json_object_set(c->out, "users", users) < 0 ? ledger_no_memory(e) : 0;
}

int ledger_op_show(struct ledger_call *c, struct err *e)
{
	_cleanup_json_ json_t *list = json_array(), *budgets = json_array();
	struct ledger_account a;
	const char *name;
	int r = ledger_name(c, "account", &name, e);

	r = r < 0 ? r : ledger_find(c, name, &a, e);
	r = r < 0 ? r : store_ask(c->s, e, add_row, list, ROW " WHERE a.name = $1", S_TEXT(name));
	r = r < 0 ? r : ledger_budgets(c, name, add_budget, budgets, e);
	r = r < 0 ? r : put_users(c, name, e);
	if (r < 0) {
		return r;
	}
	return json_object_update(c->out, json_array_get(list, 0)) < 0 ||
			       json_object_set(c->out, "budgets", budgets) < 0
		       ? ledger_no_memory(e)
		       : 0;
}

/* ---- budgets ---- */

struct budgets {
	struct ledger_call *c;
	ledger_budget_fn *fn;
	void *arg;
};

/* Few budgets are of one model, so that is a question of its own. */
static int held_of_model(struct ledger_call *c, struct ledger_budget *b, struct err *e)
{
	return store_ask(
		c->s, e, store_number, &b->held,
		"SELECT " STORE_SUM(
			"t.tokens_in + t.tokens_out") " FROM chain d JOIN token_hold t ON "
						      "t.account = d.account"
						      " WHERE d.above = $1 AND t.model = $2",
		S_TEXT(b->account), S_TEXT(b->model));
}

static int take_budget(void *arg, const struct store_cell *cells, struct err *e)
{
	const struct budgets *of = arg;
	int d = ledger_dimension_of(cells[1].text ? cells[1].text : "");
	struct ledger_budget b = {
		.account = cells[0].text,
		.model = cells[2].text ? cells[2].text : "",
		.period = cells[3].text,
		.amount = cells[4].num,
		.warn = cells[5].num,
		.spent = cells[6].num,
		.held = cells[7].num,
	};
	int r;

	/* What binds and cannot be understood is not left out. */
	if (d < 0 || !b.account || !b.period) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "the ledger has a budget of an unknown kind");
	}
	b.dimension = (enum ledger_dimension)d;
	r = *b.model ? held_of_model(of->c, &b, e) : 0;
	return r < 0 ? r : of->fn(of->arg, &b, e);
}

/*
 * One question for all of them. Sandboxes are counted, not used up: what has been used of them is
 * how often one was started. What an open reservation has used beyond its ceiling it does not hold.
 */
int ledger_budgets(struct ledger_call *c, const char *account, ledger_budget_fn *fn, void *arg,
		   struct err *e)
{
	struct budgets of = {c, fn, arg};
	int64_t today = ledger_day(c->now_ms);

	return store_ask(c->s, e, take_budget, &of,
			 "SELECT b.account, b.dimension, b.model, b.period, b.amount, b.warn,"
			 " CASE WHEN b.dimension = 'sandboxes' THEN 0 ELSE"
			 " (SELECT " STORE_SUM(
				 "u.amount") " FROM used u"
					     "  WHERE u.account = b.account AND u.dimension = "
					     "b.dimension AND u.model = b.model"
					     "  AND u.day >= CASE b.period WHEN 'day' THEN CAST($2 "
					     "AS BIGINT)"
					     "  WHEN 'month' THEN CAST($3 AS BIGINT) ELSE 0 END)"
					     " END,"
					     " (SELECT " STORE_SUM(
						     "CASE WHEN h.ceiling > h.settled"
						     "  THEN h.ceiling - h.settled ELSE 0 END + "
						     "h.asked") "  FROM chain d JOIN reservation r "
								"ON r.account = d.account AND "
								"r.state = 'open'"
								"  JOIN hold h ON h.sandbox = "
								"r.sandbox"
								"  WHERE d.above = b.account AND "
								"h.dimension = b.dimension AND "
								"b.model = '')"
								" FROM chain up JOIN budget b ON "
								"b.account = up.above WHERE "
								"up.account = $1"
								" ORDER BY up.far, b.dimension, "
								"b.period, b.model",
			 S_TEXT(account), S_INT(today), S_INT(ledger_month(today)));
}

static int check_budget(const char *dimension, const char *model, const char *period, int64_t warn,
			struct err *e)
{
	int d = ledger_dimension_of(dimension);

	if (d < 0) {
		return err_set(e, ERR_USER, EINVAL,
			       "there is no budget of '%s'; money, cpu, memory, wall, egress, "
			       "sandboxes or tokens",
			       dimension);
	}
	if (*model && d != LEDGER_TOKENS) {
		return err_set(e, ERR_USER, EINVAL, "only a budget of tokens is one of a model");
	}
	if (strcmp(period, "day") != 0 && strcmp(period, "month") != 0 &&
	    strcmp(period, "total") != 0) {
		return err_set(e, ERR_USER, EINVAL, "'%s' is no period; day, month or total",
			       period);
	}
	if (d == LEDGER_SANDBOXES && strcmp(period, "total") != 0) {
		return err_set(e, ERR_USER, EINVAL,
			       "sandboxes are those there are at once, in no period");
	}
	return warn > 100 ? err_set(e, ERR_USER, EINVAL, "a warning is given at 1 to 100 percent")
			  : 0;
}

int ledger_op_set_budget(struct ledger_call *c, struct err *e)
{
	const char *name, *dimension, *model, *period;
	bool none = json_is_null(json_object_get(c->in, "amount"));
	int64_t amount = 0, warn;
	struct ledger_account a;
	int r = ledger_name(c, "account", &name, e);

	r = r < 0 ? r : ledger_text(c, "dimension", 16, NULL, &dimension, e);
	r = r < 0 ? r : ledger_text(c, "model", 128, "", &model, e);
	r = r < 0 ? r : ledger_text(c, "period", 8, "total", &period, e);
	r = r < 0 ? r : ledger_amount(c->in, "warn", DEFAULT_WARN, &warn, e);
	r = r < 0 || none ? r : ledger_amount(c->in, "amount", -1, &amount, e);
	r = r < 0 ? r : check_budget(dimension, model, period, warn, e);
	r = r < 0 ? r : ledger_find(c, name, &a, e);
	if (r < 0) {
		return r;
	}
	if (none) {
		r = store_do(c->s, e,
			     "DELETE FROM budget WHERE account = $1 AND dimension = $2"
			     " AND model = $3 AND period = $4",
			     S_TEXT(name), S_TEXT(dimension), S_TEXT(model), S_TEXT(period));
		return r != 0 ? r
			      : err_set(e, ERR_USER, ENOENT,
					"the account '%s' has no such budget of %s", name,
					dimension);
	}
	return store_do(c->s, e,
			"INSERT INTO budget (account, dimension, model, period, amount, warn)"
			" VALUES ($1, $2, $3, $4, $5, $6)"
			" ON CONFLICT (account, dimension, model, period)"
			" DO UPDATE SET amount = excluded.amount, warn = excluded.warn",
			S_TEXT(name), S_TEXT(dimension), S_TEXT(model), S_TEXT(period),
			S_INT(amount), S_INT(warn));
}

/* ---- amounts for people ---- */

static const struct {
	const char *unit;
	int64_t part; /* of what is counted in one of these */
	int digits;
} shown[LEDGER_DIMENSIONS] = {
	[LEDGER_MONEY] = {"", 1000000, 6},        [LEDGER_CPU] = {" CPU seconds", 1000, 3},
	[LEDGER_MEMORY] = {" MiB-seconds", 1, 0}, [LEDGER_WALL] = {" s", 1000, 3},
	[LEDGER_EGRESS] = {" bytes", 1, 0},       [LEDGER_SANDBOXES] = {" at once", 1, 0},
	[LEDGER_TOKENS] = {" tokens", 1, 0},
};

void ledger_amount_text(enum ledger_dimension d, int64_t amount, const char *currency,
			char text[64])
{
	char whole[40];
	int n = snprintf(whole, sizeof(whole), "%" PRId64, amount / shown[d].part);

	if (shown[d].digits > 0 && amount % shown[d].part != 0) {
		n += snprintf(whole + n, sizeof(whole) - (size_t)n, ".%0*" PRId64, shown[d].digits,
			      amount % shown[d].part);
		while (whole[n - 1] == '0') {
			whole[--n] = '\0';
		}
	}
	(void)snprintf(text, 64, "%s%s%s%s", whole, d == LEDGER_MONEY ? " " : "",
		       d == LEDGER_MONEY ? currency : "", shown[d].unit);
}
