/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: accounts, budgets, prices, spending, time, anchors. On SQLite and on PostgreSQL. */
#include "unit.h"

#include <sys/resource.h>

#include "base/json.h"
#include "ledger-fixture.h"
#include "record/ledger-anchor.h"
#include "record/ledger-tokens.h"

/* ---- requests ---- */

/* Calls, and the reply must be none but an error of that code (0: none). The reply is returned. */
static json_t *call_code(struct ledger *l, json_t *request, int code, struct err *e)
{
	json_t *reply = NULL;
	int r;

	*e = (struct err){};
	assert_non_null(request);
	r = ledger_call(l, request, &reply, e);
	if (r != -code) {
		fail_msg("%d instead of %d: %s", r, -code, e->msg);
	}
	return reply;
}

static void call(struct ledger *l, json_t *request, int code, const char *says)
{
	struct err e;
	json_t *reply = call_code(l, request, code, &e);

	if (says && !strstr(e.msg, says)) {
		fail_msg("'%s' does not say '%s'", e.msg, says);
	}
	json_decref(reply);
}

static json_t *ask(struct ledger *l, json_t *request)
{
	struct err e;

	return call_code(l, request, 0, &e);
}

static void create(struct ledger *l, const char *name, const char *parent)
{
	call(l, json_pack("{s:s, s:s, s:s*}", "op", "create", "account", name, "parent", parent), 0,
	     NULL);
}

static void budget(struct ledger *l, const char *name, const char *dimension, const char *period,
		   int64_t amount)
{
	call(l,
	     json_pack("{s:s, s:s, s:s, s:s, s:I}", "op", "set-budget", "account", name,
		       "dimension", dimension, "period", period, "amount", (json_int_t)amount),
	     0, NULL);
}

static void prices(struct ledger *l, const char *since, int64_t wall)
{
	call(l,
	     json_pack("{s:s, s:s, s:s, s:s*, s:{s:I}, s:{s:{s:i, s:i}, s:{s:i, s:i}}}", "op",
		       "price-add", "name", "default", "currency", "USD", "since", since, "prices",
		       "wall", (json_int_t)wall, "models", "*", "in", 3000000, "out", 15000000,
		       "small", "in", 1000000, "out", 2000000),
	     0, NULL);
}

/* Seconds of wall time, with a step of 10 s. */
static int reserve(struct ledger *l, const char *sandbox, const char *account, int64_t wall_s,
		   struct err *e)
{
	struct ledger_reservation v = {
		.sandbox = sandbox,
		.account = account,
		.user = "somebody",
		.of = {[LEDGER_WALL] = {wall_s * 1000, 10000}, [LEDGER_SANDBOXES] = {1, 0}}};

	*e = (struct err){};
	return ledger_reserve(l, &v, NULL, e);
}

static void reserves(struct ledger *l, const char *sandbox, const char *account, int64_t wall_s)
{
	struct err e;

	if (reserve(l, sandbox, account, wall_s, &e) < 0) {
		fail_msg("%s", e.msg);
	}
}

static void refused(struct ledger *l, const char *sandbox, const char *account, int64_t wall_s,
		    const char *says)
{
	struct err e;

	assert_int_equal(reserve(l, sandbox, account, wall_s, &e), -EDQUOT);
	if (!strstr(e.msg, says)) {
		fail_msg("'%s' does not say '%s'", e.msg, says);
	}
}

static enum ledger_answer settle(struct ledger *l, const char *sandbox, int64_t wall_s)
{
	const struct ledger_usage u = {.of = {[LEDGER_WALL] = wall_s * 1000}};
	enum ledger_answer answer = LEDGER_EXHAUSTED;
	struct err e = {};
	char why[256];

	if (ledger_settle(l, sandbox, &u, &answer, why, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	assert_int_equal(answer == LEDGER_OK, why[0] == '\0');
	return answer;
}

static void release(struct ledger *l, const char *sandbox, int64_t wall_s)
{
	const struct ledger_usage u = {.of = {[LEDGER_WALL] = wall_s * 1000}};
	struct err e = {};

	if (ledger_release(l, sandbox, &u, NULL, &e) < 0) {
		fail_msg("%s", e.msg);
	}
}

/* What a budget of the account itself says: "spent", "reserved", "left". */
static int64_t stands(struct ledger *l, const char *account, const char *dimension,
		      const char *period, const char *what)
{
	_cleanup_json_ json_t *reply =
		ask(l, json_pack("{s:s, s:s}", "op", "show", "account", account));
	json_t *b;
	size_t i;

	json_array_foreach(json_object_get(reply, "budgets"), i, b)
	{
		if (strcmp(json_string_value(json_object_get(b, "dimension")), dimension) == 0 &&
		    strcmp(json_string_value(json_object_get(b, "period")), period) == 0 &&
		    strcmp(json_string_value(json_object_get(b, "account")), account) == 0) {
			return json_integer_value(json_object_get(b, what));
		}
	}
	fail_msg("no budget of %s", dimension);
	return -1;
}

/* ---- accounts ---- */

static void test_accounts(void **state)
{
	struct fixture *f = *state;
	struct ledger *l = f->l;
	_cleanup_json_ json_t *list = NULL;

	create(l, "org", NULL);
	create(l, "team", "org");
	call(l, json_pack("{s:s, s:s}", "op", "create", "account", "org"), EEXIST, "already");
	call(l, json_pack("{s:s, s:s, s:s}", "op", "create", "account", "x", "parent", "none"),
	     ENOENT, "there is no account 'none'");
	call(l,
	     json_pack("{s:s, s:s, s:s, s:s}", "op", "create", "account", "x", "parent", "org",
		       "currency", "EUR"),
	     EINVAL, "USD");
	call(l, json_pack("{s:s, s:s, s:s}", "op", "create", "account", "x", "currency", "euro"),
	     EINVAL, NULL);
	call(l, json_pack("{s:s, s:s}", "op", "create", "account", ""), EINVAL, "no name");
	call(l, json_pack("{s:s, s:s}", "op", "create", "account", "a b"), EINVAL, "no name");
	call(l, json_pack("{s:s}", "op", "create"), EINVAL, "missing");
	call(l, json_pack("{s:s, s:s}", "op", "show", "account", "x"), ENOENT, "atoll account");
	call(l, json_pack("{s:s}", "op", "nothing"), EINVAL, "no such request");
	call(l, json_pack("{}"), EINVAL, NULL);
	list = ask(l, json_pack("{s:s}", "op", "list"));
	assert_int_equal(json_array_size(json_object_get(list, "accounts")), 2);
}

static void test_depth(void **state)
{
	struct fixture *f = *state;
	char name[8], parent[8];

	create(f->l, "a0", NULL);
	for (int i = 1; i < 8; i++) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		(void)snprintf(parent, sizeof(parent), "a%d", i - 1);
		create(f->l, name, parent);
	}
	call(f->l, json_pack("{s:s, s:s, s:s}", "op", "create", "account", "a8", "parent", "a7"),
	     ELOOP, "8 deep");
	/* Nothing of it is left. */
	call(f->l, json_pack("{s:s, s:s}", "op", "show", "account", "a8"), ENOENT, NULL);
	budget(f->l, "a0", "wall", "total", 10000);
	refused(f->l, "s-1", "a7", 11, "account 'a0'");
}

static void test_close(void **state)
{
	struct fixture *f = *state;
	struct err e;

	create(f->l, "org", NULL);
	create(f->l, "team", "org");
	reserves(f->l, "s-1", "team", 10);
	call(f->l, json_pack("{s:s, s:s}", "op", "close", "account", "org"), 0, NULL);
	call(f->l, json_pack("{s:s, s:s}", "op", "close", "account", "org"), EALREADY, NULL);
	assert_int_equal(reserve(f->l, "s-2", "team", 1, &e), -EPERM);
	call(f->l, json_pack("{s:s, s:s, s:s}", "op", "create", "account", "x", "parent", "org"),
	     EPERM, "closed");
	assert_int_equal(settle(f->l, "s-1", 5), LEDGER_OK);
	release(f->l, "s-1", 6);
}

static void test_budgets_that_are_none(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *dimension, *model, *period;
		json_int_t amount, warn;
	} rows[] = {
		{"food", "", "day", 1, 80}, {"cpu", "m", "day", 1, 80},
		{"cpu", "", "year", 1, 80}, {"sandboxes", "", "day", 1, 80},
		{"cpu", "", "day", -1, 80}, {"cpu", "", "day", 1, 101},
		{"cpu", "", "day", 1, -1},  {"cpu", "", "day", (1LL << 60) + 1, 80},
	};

	create(f->l, "org", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		call(f->l,
		     json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "op", "set-budget", "account",
			       "org", "dimension", rows[i].dimension, "model", rows[i].model,
			       "period", rows[i].period, "amount", rows[i].amount, "warn",
			       rows[i].warn),
		     EINVAL, NULL);
	}
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:n}", "op", "set-budget", "account", "org", "dimension",
		       "cpu", "amount"),
	     ENOENT, "no such budget");
	call(f->l,
	     json_pack("{s:s, s:s, s:s}", "op", "set-budget", "account", "org", "dimension", "cpu"),
	     EINVAL, NULL);
}

/* ---- spending ---- */

static void test_reserve_before_spend(void **state)
{
	struct fixture *f = *state;
	struct ledger *l = f->l;

	create(l, "org", NULL);
	budget(l, "org", "wall", "total", 100000);
	refused(l, "s-0", "org", 101,
		"the budget of account 'org' of wall (100 s) has 100 s left, beside 0 s that "
		"running sandboxes have reserved, and this one asks for 101 s; ask for less");
	reserves(l, "s-1", "org", 60);
	refused(l, "s-2", "org", 41, "has 40 s left, beside 60 s");
	reserves(l, "s-2", "org", 40);
	refused(l, "s-3", "org", 1, "'atoll account set-budget org wall AMOUNT'");
	assert_int_equal(settle(l, "s-1", 10), LEDGER_OK);
	assert_int_equal(stands(l, "org", "wall", "total", "spent"), 10000);
	assert_int_equal(stands(l, "org", "wall", "total", "reserved"), 90000);
	/* Said again, and said late: it has been counted. */
	assert_int_equal(settle(l, "s-1", 10), LEDGER_OK);
	assert_int_equal(settle(l, "s-1", 3), LEDGER_OK);
	assert_int_equal(stands(l, "org", "wall", "total", "spent"), 10000);
	release(l, "s-1", 20);
	assert_int_equal(stands(l, "org", "wall", "total", "left"), 40000);
	reserves(l, "s-3", "org", 40);
	release(l, "s-2", 40);
	assert_int_equal(settle(l, "s-3", 20), LEDGER_WARN);
	assert_int_equal(settle(l, "s-3", 40), LEDGER_EXHAUSTED);
}

static void test_who_is_there_no_more(void **state)
{
	struct fixture *f = *state;
	const struct ledger_usage none = {};
	enum ledger_answer answer;
	struct err e = {};
	char why[256];

	create(f->l, "org", NULL);
	reserves(f->l, "s-1", "org", 10);
	assert_int_equal(reserve(f->l, "s-1", "org", 10, &e), -EEXIST);
	release(f->l, "s-1", 1);
	assert_int_equal(ledger_release(f->l, "s-1", &none, NULL, &e), -ESTALE);
	assert_int_equal(ledger_settle(f->l, "s-1", &none, &answer, why, &e), -ESTALE);
	assert_int_equal(ledger_settle(f->l, "s-2", &none, &answer, why, &e), -ESTALE);
	assert_int_equal(ledger_return(f->l, "s-1", &e), 0);
	assert_int_equal(ledger_return(f->l, "s-2", &e), 0);
	assert_int_equal(reserve(f->l, "s-1", "org", 10, &e), -EEXIST);
	assert_int_equal(reserve(f->l, "s-3", "none", 10, &e), -ENOENT);
}

/* What is used beyond what was reserved is spent, and who did so ends; the others go on. */
static void test_more_than_reserved(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "total", 100000);
	reserves(f->l, "s-1", "org", 50);
	reserves(f->l, "s-2", "org", 50);
	assert_int_equal(settle(f->l, "s-1", 51), LEDGER_EXHAUSTED);
	assert_int_equal(settle(f->l, "s-2", 20), LEDGER_OK);
	assert_int_equal(stands(f->l, "org", "wall", "total", "spent"), 71000);
	assert_int_equal(stands(f->l, "org", "wall", "total", "reserved"), 30000);
	refused(f->l, "s-3", "org", 1, "has 0 s left");
	assert_int_equal(settle(f->l, "s-2", 49), LEDGER_EXHAUSTED);
}

/* A budget that is lowered ends what runs, as soon as that much is spent. */
static void test_a_budget_that_is_lowered(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	reserves(f->l, "s-1", "org", 50);
	assert_int_equal(settle(f->l, "s-1", 20), LEDGER_OK);
	budget(f->l, "org", "wall", "total", 30000);
	assert_int_equal(settle(f->l, "s-1", 23), LEDGER_OK);
	assert_int_equal(settle(f->l, "s-1", 30), LEDGER_EXHAUSTED);
}

static void test_what_binds_the_parent(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	create(f->l, "a", "org");
	create(f->l, "b", "org");
	budget(f->l, "org", "wall", "day", 100000);
	budget(f->l, "a", "wall", "day", 60000);
	reserves(f->l, "s-1", "a", 60);
	refused(f->l, "s-2", "a", 1, "account 'a'");
	refused(f->l, "s-2", "b", 41, "account 'org'");
	reserves(f->l, "s-2", "b", 40);
	release(f->l, "s-2", 30);
	assert_int_equal(stands(f->l, "org", "wall", "day", "spent"), 30000);
	assert_int_equal(stands(f->l, "a", "wall", "day", "spent"), 0);
}

static void test_sandboxes_at_once(void **state)
{
	struct fixture *f = *state;
	struct err e = {};

	create(f->l, "org", NULL);
	budget(f->l, "org", "sandboxes", "total", 2);
	reserves(f->l, "s-1", "org", 1);
	reserves(f->l, "s-2", "org", 1);
	refused(f->l, "s-3", "org", 1, "wait until one has ended");
	release(f->l, "s-1", 1);
	reserves(f->l, "s-3", "org", 1);
	refused(f->l, "s-4", "org", 1, "2 at once");
	assert_int_equal(ledger_return(f->l, "s-2", &e), 1);
	reserves(f->l, "s-4", "org", 1);
	assert_int_equal(settle(f->l, "s-4", 0), LEDGER_OK);
}

/* A dead one has used what it had settled, and what can be used until the next settlement. */
static void test_return_of_the_dead(void **state)
{
	struct fixture *f = *state;
	struct err e = {};

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "total", 100000);
	reserves(f->l, "s-1", "org", 50);
	assert_int_equal(settle(f->l, "s-1", 20), LEDGER_OK);
	assert_int_equal(ledger_return(f->l, "s-1", &e), 1);
	assert_int_equal(stands(f->l, "org", "wall", "total", "spent"), 30000);
	assert_int_equal(stands(f->l, "org", "wall", "total", "reserved"), 0);
	assert_int_equal(ledger_return(f->l, "s-1", &e), 0);
	/* Never beyond what it could have used at all. */
	reserves(f->l, "s-2", "org", 15);
	assert_int_equal(settle(f->l, "s-2", 12), LEDGER_OK);
	assert_int_equal(ledger_return(f->l, "s-2", &e), 1);
	assert_int_equal(stands(f->l, "org", "wall", "total", "spent"), 45000);
	/* One that never settled. */
	reserves(f->l, "s-3", "org", 50);
	assert_int_equal(ledger_return(f->l, "s-3", &e), 1);
	assert_int_equal(stands(f->l, "org", "wall", "total", "spent"), 55000);
}

/* ---- money ---- */

static void test_money(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "money", "total", 1000000);
	refused(f->l, "s-1", "org", 1, "no prices 'default' in USD are in force");
	prices(f->l, NULL, 36000000); /* 36 USD an hour: 0.01 a second */
	refused(f->l, "s-1", "org", 101, "has 1 USD left, beside 0 USD");
	reserves(f->l, "s-1", "org", 60);
	refused(f->l, "s-2", "org", 41, "has 0.4 USD left, beside 0.6 USD");
	for (int i = 0; i <= 30; i++) {
		assert_int_equal(settle(f->l, "s-1", i), LEDGER_OK);
	}
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 300000);
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 300000);
	release(f->l, "s-1", 60);
	assert_int_equal(stands(f->l, "org", "money", "total", "left"), 400000);
}

/* Rounded up once, not at each settlement. */
static void test_rounding(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "money", "total", 1000);
	prices(f->l, NULL, 1); /* a millionth an hour */
	reserves(f->l, "s-1", "org", 7200);
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 2);
	for (int i = 0; i <= 3600; i += 60) {
		assert_int_equal(settle(f->l, "s-1", i), LEDGER_OK);
	}
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 1);
	release(f->l, "s-1", 3601);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 2);
}

/* The prices of the start, to the end. */
static void test_prices_with_dates(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "money", "total", 100000000);
	prices(f->l, "2026-11-01", 3600000);
	prices(f->l, "2026-12-01", 7200000);
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:s, s:{s:i}}", "op", "price-add", "name", "default",
		       "currency", "USD", "since", "2026-12-01", "prices", "wall", 1),
	     EEXIST, "never changed");
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:s}", "op", "price-add", "name", "default", "currency",
		       "USD", "since", "2026-13-01"),
	     EINVAL, "no day");
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:{s:i}}", "op", "price-add", "name", "x", "currency",
		       "USD", "prices", "sandboxes", 1),
	     EINVAL, NULL);
	reserves(f->l, "s-1", "org", 100);
	f->now_ms += DAY_MS; /* December begins */
	reserves(f->l, "s-2", "org", 100);
	release(f->l, "s-1", 100);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 100000);
	release(f->l, "s-2", 100);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 300000);
}

static void test_tokens(void **state)
{
	struct fixture *f = *state;
	struct err e = {};
	int64_t money = 0;

	create(f->l, "org", NULL);
	prices(f->l, NULL, 36000000);
	budget(f->l, "org", "money", "total", 1000000);
	budget(f->l, "org", "tokens", "day", 30000);
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "op", "set-budget", "account", "org",
		       "dimension", "tokens", "model", "small", "period", "day", "amount", 5000),
	     0, NULL);
	reserves(f->l, "s-1", "org", 10);
	assert_int_equal(ledger_tokens(f->l, "s-1", "large", "1", 1000, 100, &money, &e), 0);
	assert_int_equal(money, 4500);
	assert_int_equal(ledger_tokens(f->l, "s-1", "small", "1", 4000, 0, &money, &e), 0);
	assert_int_equal(money, 4000);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 8500);
	/* What was reserved for the time is still there. */
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 100000);
	assert_int_equal(ledger_tokens(f->l, "s-1", "small", "1", 1000, 0, &money, &e), -EDQUOT);
	assert_non_null(strstr(e.msg, "tokens"));
	assert_int_equal(ledger_tokens(f->l, "s-1", "large", "2", 1, 0, &money, &e), 0);
	assert_int_equal(ledger_tokens(f->l, "s-1", "large", "2", 30000, 0, &money, &e), -EDQUOT);
	assert_int_equal(settle(f->l, "s-1", 10), LEDGER_OK);
	release(f->l, "s-1", 10);
	assert_int_equal(ledger_tokens(f->l, "s-1", "large", "2", 1, 0, &money, &e), -ESTALE);
}

static int ask_tokens(struct ledger *l, const char *request, const char *model, int64_t in,
		      int64_t out, struct err *e)
{
	*e = (struct err){};
	return ledger_tokens_reserve(l, "s-1", request, model, in, out, e);
}

/* Of tokens and of money, of the account and of the one above. */
static void test_tokens_before_they_are_spent(void **state)
{
	struct fixture *f = *state;
	struct err e = {};
	int64_t money = 0;

	create(f->l, "org", NULL);
	create(f->l, "team", "org");
	prices(f->l, NULL, 36000000);
	budget(f->l, "org", "money", "total", 200000);
	budget(f->l, "team", "tokens", "day", 10000);
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:s, s:i}", "op", "set-budget", "account", "org",
		       "dimension", "tokens", "model", "small", "amount", 3000),
	     0, NULL);
	assert_int_equal(ask_tokens(f->l, "r-1", "small", 1, 1, &e), -ESTALE);
	reserves(f->l, "s-1", "team", 10); /* 100000 of money */
	assert_int_equal(ask_tokens(f->l, "r-1", "small", 1000, 1000, &e), 0);
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 103000);
	assert_int_equal(stands(f->l, "team", "tokens", "day", "reserved"), 2000);
	assert_int_equal(stands(f->l, "team", "tokens", "day", "spent"), 0);
	/* The model's own budget, of the account above. */
	assert_int_equal(ask_tokens(f->l, "r-2", "small", 1001, 0, &e), -EDQUOT);
	assert_non_null(strstr(e.msg, "ask for fewer tokens at a time"));
	assert_non_null(strstr(e.msg, "set-budget org tokens AMOUNT --model small"));
	/* Of all models. */
	assert_int_equal(ask_tokens(f->l, "r-2", "large", 8001, 0, &e), -EDQUOT);
	assert_non_null(strstr(e.msg, "account 'team' of tokens"));
	/* Money: 15 for a token out. */
	assert_int_equal(ask_tokens(f->l, "r-2", "large", 0, 6467, &e), -EDQUOT);
	assert_non_null(strstr(e.msg, "account 'org' of money"));
	assert_int_equal(ask_tokens(f->l, "r-2", "large", 0, 6466, &e), 0);
	assert_int_equal(ask_tokens(f->l, "r-2", "large", 1, 0, &e), -EEXIST);
	/* A start has no room beside them, as little as beside a sandbox. */
	refused(f->l, "s-2", "team", 1, "account 'org' of money");
	/* Less than was reserved, once. */
	assert_int_equal(ledger_tokens_tell(f->l, "s-1", "r-2", "large", "1", 0, 100, &money, &e),
			 0);
	assert_int_equal(money, 1500);
	assert_int_equal(ledger_tokens_tell(f->l, "s-1", "r-2", "large", "1", 0, 100, &money, &e),
			 -ESTALE);
	assert_int_equal(ledger_tokens_tell(f->l, "s-1", "r-1", "large", "1", 0, 1, &money, &e),
			 -ESTALE);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"), 1500);
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 103000);
	/* More than that is spent all the same. */
	assert_int_equal(ask_tokens(f->l, "r-3", "large", 0, 10, &e), 0);
	assert_int_equal(ledger_tokens_tell(f->l, "s-1", "r-3", "large", "1", 0, 20, &money, &e),
			 0);
	assert_int_equal(stands(f->l, "team", "tokens", "day", "spent"), 120);
	/* What is never told counts when the sandbox is returned. */
	assert_int_equal(ledger_return(f->l, "s-1", &e), 1);
	assert_int_equal(stands(f->l, "team", "tokens", "day", "spent"), 2120);
	assert_int_equal(stands(f->l, "team", "tokens", "day", "reserved"), 0);
	assert_int_equal(stands(f->l, "org", "money", "total", "reserved"), 0);
	assert_int_equal(stands(f->l, "org", "money", "total", "spent"),
			 100000 + 3000 + 1500 + 300);
}

/* Where no tokens are left a sandbox starts, and its requests are refused. A closed account takes
 * none either. */
static void test_no_tokens_left(void **state)
{
	struct fixture *f = *state;
	struct err e = {};
	int64_t money;

	create(f->l, "org", NULL);
	budget(f->l, "org", "tokens", "total", 10);
	reserves(f->l, "s-1", "org", 10);
	assert_int_equal(ledger_tokens(f->l, "s-1", "m", "1", 10, 0, &money, &e), -EDQUOT);
	reserves(f->l, "s-2", "org", 10);
	assert_int_equal(ask_tokens(f->l, "r-1", "m", 1, 0, &e), -EDQUOT);
	assert_int_equal(ask_tokens(f->l, "r-1", "m", 0, 0, &e), 0);
	for (int i = 2; i <= 256; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "r-%d", i);
		assert_int_equal(ask_tokens(f->l, name, "m", 0, 0, &e), 0);
	}
	assert_int_equal(ask_tokens(f->l, "r-257", "m", 0, 0, &e), -EDQUOT);
	assert_non_null(strstr(e.msg, "256 requests"));
	call(f->l, json_pack("{s:s, s:s}", "op", "close", "account", "org"), 0, NULL);
	assert_int_equal(ledger_tokens_tell(f->l, "s-1", "r-1", "m", "1", 0, 0, &money, &e),
			 -EDQUOT);
	assert_int_equal(ask_tokens(f->l, "r-258", "m", 0, 0, &e), -EPERM);
	release(f->l, "s-1", 1);
	assert_int_equal(stands(f->l, "org", "tokens", "total", "spent"), 10);
}

/* ---- what does not fit ---- */

static void test_large_numbers(void **state)
{
	struct fixture *f = *state;
	const int64_t most = 1LL << 60;
	struct ledger_reservation v = {.account = "org", .of = {[LEDGER_WALL] = {most, most}}};
	struct ledger_usage u = {.of = {[LEDGER_WALL] = most}};
	struct store *s;
	struct err e = {};
	char id[8];
	int i;

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "total", most);
	v.of[LEDGER_WALL].most = most + 1;
	v.sandbox = "s-0";
	assert_int_equal(ledger_reserve(f->l, &v, NULL, &e), -EINVAL);
	v.of[LEDGER_WALL].most = most;
	assert_int_equal(ledger_reserve(f->l, &v, NULL, &e), 0);
	v.sandbox = "s-1";
	assert_int_equal(ledger_reserve(f->l, &v, NULL, &e), -EDQUOT);
	call(f->l,
	     json_pack("{s:s, s:s, s:s, s:n}", "op", "set-budget", "account", "org", "dimension",
		       "wall", "amount"),
	     0, NULL);
	/* Without a budget sums may become too large, and stay where nothing is left of any. */
	for (i = 1; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "s-%d", i);
		v.sandbox = id;
		assert_int_equal(ledger_reserve(f->l, &v, NULL, &e), 0);
	}
	for (i = 1; i < 10; i++) {
		(void)snprintf(id, sizeof(id), "s-%d", i);
		assert_int_equal(ledger_release(f->l, id, &u, NULL, &e), 0);
	}
	s = fixture_store(f);
	assert_true(fixture_ask(s, "SELECT amount FROM used WHERE dimension = 'wall'") == 2 * most);
	s->ops->close(s);
	budget(f->l, "org", "wall", "total", most);
	v.sandbox = "s-20";
	assert_true(ledger_reserve(f->l, &v, NULL, &e) < 0);
}

/* ---- time ---- */

static void test_periods(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "day", 10000);
	budget(f->l, "org", "wall", "month", 15000);
	reserves(f->l, "s-1", "org", 10);
	release(f->l, "s-1", 10);
	refused(f->l, "s-2", "org", 1, "(10 s in a day)");
	f->now_ms += DAY_MS; /* and December */
	reserves(f->l, "s-2", "org", 10);
	release(f->l, "s-2", 10);
	f->now_ms += DAY_MS;
	refused(f->l, "s-3", "org", 6, "(15 s in a month)");
	reserves(f->l, "s-3", "org", 5);
	f->now_ms += 30 * DAY_MS;
	/* What is still held from before is not free. */
	refused(f->l, "s-4", "org", 6, "(10 s in a day)");
	assert_int_equal(settle(f->l, "s-3", 5), LEDGER_OK);
	assert_int_equal(stands(f->l, "org", "wall", "day", "spent"), 5000);
	assert_int_equal(stands(f->l, "org", "wall", "month", "spent"), 5000);
}

/* A clock that is set back opens nothing again. */
static void test_clock_set_back(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "day", 10000);
	reserves(f->l, "s-1", "org", 10);
	f->now_ms += DAY_MS;
	assert_int_equal(settle(f->l, "s-1", 4), LEDGER_OK);
	f->now_ms -= 3 * DAY_MS;
	assert_int_equal(settle(f->l, "s-1", 10), LEDGER_EXHAUSTED);
	release(f->l, "s-1", 10);
	assert_int_equal(stands(f->l, "org", "wall", "day", "spent"), 10000);
	refused(f->l, "s-2", "org", 1, "has seen the day 2026-12-01");
	f->now_ms = -5;
	refused(f->l, "s-2", "org", 1, "has seen the day 2026-12-01");
	f->now_ms = NOON + 2 * DAY_MS;
	reserves(f->l, "s-2", "org", 10);
	{
		struct store *s = fixture_store(f);

		assert_int_equal(fixture_ask(s, "SELECT COUNT(*) FROM used WHERE amount < 0"), 0);
		assert_int_equal(
			fixture_ask(s,
				    "SELECT COUNT(*) FROM reservation WHERE heartbeat < created"),
			0);
		s->ops->close(s);
	}
}

/* ---- anchors ---- */

static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int count_anchor(void *arg, const struct ledger_anchor_row *row, struct err *e)
{
	int *n = arg;

	(void)e;
	(*n) += row->n > 0;
	return 0;
}

static int walk(struct ledger *l, const char *sandbox, int *n, struct err *e)
{
	*n = 0;
	*e = (struct err){};
	return ledger_anchors(l, sandbox, count_anchor, n, e);
}

static void test_anchors(void **state)
{
	struct fixture *f = *state;
	struct err e = {};
	int64_t number;
	int n;

	assert_int_equal(walk(f->l, NULL, &n, &e), 0);
	for (int i = 1; i <= 1100; i++) {
		assert_int_equal(ledger_anchor(f->l, i % 2 ? "s-odd" : "s-even", i, digits, digits,
					       digits, &number, &e),
				 0);
		assert_int_equal(number, i);
	}
	assert_int_equal(ledger_retire(f->l, "s-odd", "older than a year", &e), 0);
	assert_int_equal(walk(f->l, NULL, &n, &e), 0);
	assert_int_equal(n, 1101);
	assert_int_equal(walk(f->l, "s-odd", &n, &e), 0);
	assert_int_equal(n, 551);
	assert_int_equal(walk(f->l, "s-none", &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ledger_anchor(f->l, "s-1", 1, "no", digits, digits, &number, &e), -EINVAL);
	assert_int_equal(ledger_anchor(f->l, "s 1", 1, digits, digits, digits, &number, &e),
			 -EINVAL);
}

static const char once_more[] =
	"INSERT INTO anchor SELECT 7, prev, time, sandbox, size, head, root, "
	"signature, retired, uid FROM anchor WHERE n = 6";

/* Whatever is done to the rows is seen, whichever sandbox is asked about. */
static void test_anchors_that_were_changed(void **state)
{
	static const char *const harm[] = {
		"DELETE FROM anchor WHERE n = 1",
		"DELETE FROM anchor WHERE n = 3",
		"DELETE FROM anchor WHERE n = 6",
		"DELETE FROM anchor",
		"UPDATE anchor SET size = size + 1 WHERE n = 2",
		"UPDATE anchor SET size = size + 1 WHERE n = 6",
		"UPDATE anchor SET head = 'ab' WHERE n = 4",
		"UPDATE anchor SET root = 'ab' WHERE n = 4",
		"UPDATE anchor SET signature = 'ab' WHERE n = 4",
		"UPDATE anchor SET sandbox = 's-2' WHERE n = 4",
		"UPDATE anchor SET time = time + 1 WHERE n = 4",
		"UPDATE anchor SET retired = 'so' WHERE n = 4",
		"UPDATE anchor SET uid = 1000 WHERE n = 4",
		"UPDATE anchor SET n = 7 WHERE n = 6",
		"UPDATE anchor SET n = -n WHERE n = 1",
		once_more,
	};
	struct fixture *f = *state;
	struct store *s = fixture_store(f);
	struct err e = {};
	int n;

	for (int i = 1; i <= 6; i++) {
		assert_int_equal(ledger_anchor(f->l, "s-1", i, digits, digits, digits, NULL, &e),
				 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(harm); i++) {
		assert_int_equal(store_run(s, "CREATE TABLE saved AS SELECT * FROM anchor", NULL, 0,
					   NULL, NULL, &e) < 0,
				 0);
		assert_true(store_run(s, harm[i], NULL, 0, NULL, NULL, &e) >= 0);
		if (walk(f->l, "s-1", &n, &e) != -EBADMSG ||
		    walk(f->l, "s-9", &n, &e) != -EBADMSG) {
			fail_msg("not seen: %s", harm[i]);
		}
		assert_non_null(strstr(e.msg, "anchors are broken: row "));
		assert_true(store_run(s, "DELETE FROM anchor", NULL, 0, NULL, NULL, &e) >= 0);
		assert_true(store_run(s, "INSERT INTO anchor SELECT * FROM saved", NULL, 0, NULL,
				      NULL, &e) >= 0);
		assert_true(store_run(s, "DROP TABLE saved", NULL, 0, NULL, NULL, &e) >= 0);
		assert_int_equal(walk(f->l, "s-1", &n, &e), 0);
	}
	s->ops->close(s);
}

/* ---- reports ---- */

static void test_report(void **state)
{
	struct fixture *f = *state;
	const struct ledger_usage idle = {.of = {[LEDGER_WALL] = 1000}, .idle = true};
	/* Settled every ten minutes, it is nobody's orphan after two. */
	const struct ledger_reservation seldom = {.sandbox = "s-4",
						  .account = "org",
						  .user = "somebody",
						  .of[LEDGER_WALL] = {3600000, 600000}};
	_cleanup_json_ json_t *report = NULL, *usage = NULL;
	enum ledger_answer answer;
	const json_t *org;
	struct err e = {};
	char why[256];

	create(f->l, "org", NULL);
	create(f->l, "team", "org");
	prices(f->l, NULL, 36000000);
	reserves(f->l, "s-1", "team", 60);
	reserves(f->l, "s-2", "org", 60);
	reserves(f->l, "s-3", "org", 60);
	release(f->l, "s-3", 9);
	assert_int_equal(ledger_reserve(f->l, &seldom, NULL, &e), 0);
	f->now_ms += 120000;
	assert_int_equal(ledger_settle(f->l, "s-1", &idle, &answer, why, &e), 0);
	report = ask(f->l, json_pack("{s:s}", "op", "report"));
	org = json_array_get(json_object_get(report, "accounts"), 0);
	assert_string_equal(json_string_value(json_object_get(report, "since")), "2026-11-01");
	assert_int_equal(json_integer_value(json_object_get(org, "money")), 100000);
	assert_int_equal(json_integer_value(json_object_get(org, "users")), 1);
	assert_int_equal(json_integer_value(json_object_get(org, "money_per_user")), 100000);
	assert_int_equal(json_integer_value(json_object_get(org, "sandboxes")), 3);
	assert_int_equal(json_integer_value(json_object_get(org, "idle")), 1);
	assert_int_equal(json_integer_value(json_object_get(org, "orphans")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(org, "used"), "wall")),
			 10000);
	usage = ask(f->l, json_pack("{s:s, s:s, s:s, s:s}", "op", "usage", "account", "team",
				    "dimension", "wall", "since", "2026-11-30"));
	assert_int_equal(json_array_size(json_object_get(usage, "usage")), 1);
}

/* ---- no room, no right ---- */

static void test_no_room(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, tight;
	struct err e = {};

	(void)signal(SIGXFSZ, SIG_IGN);
	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "total", 100000);
	reserves(f->l, "s-1", "org", 10);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	tight = (struct rlimit){4096, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_true(reserve(f->l, "s-2", "org", 10, &e) < 0);
	assert_non_null(strstr(e.msg, "the ledger"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(stands(f->l, "org", "wall", "total", "reserved"), 10000);
	reserves(f->l, "s-2", "org", 10);
}

static void test_places(void **state)
{
	struct fixture *f = *state;
	struct ledger_config c = {.home = f->home};
	struct ledger *l = NULL;
	struct err e = {};
	struct stat st;

	assert_int_equal(fstatat(f->home, "ledger", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(f->home, "ledger/ledger.db", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(f->home, "ledger/ledger.db-wal", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fchmodat(f->home, "ledger", 0770, 0), 0);
	assert_int_equal(ledger_open(&l, &c, &e), -EPERM);
	assert_int_equal(fchmodat(f->home, "ledger", 0700, 0), 0);
	ledger_close(f->l);
	f->l = NULL;
	/* A link in its place is not followed, and what is no ledger is not made one. */
	assert_int_equal(renameat(f->home, "ledger/ledger.db", f->home, "elsewhere"), 0);
	assert_int_equal(symlinkat("../elsewhere", f->home, "ledger/ledger.db"), 0);
	assert_true(ledger_open(&l, &c, &e) < 0);
	assert_int_equal(unlinkat(f->home, "ledger/ledger.db", 0), 0);
	assert_int_equal(unlinkat(f->home, "ledger/ledger.db-wal", 0), 0);
	{
		_cleanup_fd_ int fd =
			openat(f->home, "ledger/ledger.db", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(write(fd, digits, sizeof(digits)) > 0);
	}
	assert_int_equal(ledger_open(&l, &c, &e), -EBADMSG);
	assert_null(l);
}

static void test_a_later_version(void **state)
{
	struct fixture *f = *state;
	struct store *s = fixture_store(f);
	struct ledger_config c = {.store = fixture_store(f)};
	struct ledger *l = NULL;
	struct err e = {};

	assert_true(store_run(s, "UPDATE meta SET num = num + 1 WHERE name = 'steps'", NULL, 0,
			      NULL, NULL, &e) >= 0);
	s->ops->close(s);
	assert_int_equal(ledger_open(&l, &c, &e), -EPROTONOSUPPORT);
	assert_non_null(strstr(e.msg, "later version"));
}

/* ---- faults ---- */

static struct ledger *faulty; /* what reserve_under_faults() works on */

static void reserve_under_faults(bool may_fail)
{
	static int number;
	struct err e = {};
	char id[16];
	int r;

	(void)snprintf(id, sizeof(id), "s-%d", number++);
	r = reserve(faulty, id, "org", 1, &e);
	fault_arm(0);
	assert_true(r == 0 || (may_fail && r < 0 && e.code != 0));
	if (r == 0) {
		release(faulty, id, 1);
	}
	assert_int_equal(stands(faulty, "org", "wall", "total", "reserved"), 0);
}

static void test_faults(void **state)
{
	struct fixture *f = *state;

	create(f->l, "org", NULL);
	budget(f->l, "org", "wall", "total", 1000000);
	faulty = f->l;
	unit_faults(reserve_under_faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_accounts),
		ON_BOTH(test_depth),
		ON_BOTH(test_close),
		ON_BOTH(test_budgets_that_are_none),
		ON_BOTH(test_reserve_before_spend),
		ON_BOTH(test_who_is_there_no_more),
		ON_BOTH(test_more_than_reserved),
		ON_BOTH(test_a_budget_that_is_lowered),
		ON_BOTH(test_what_binds_the_parent),
		ON_BOTH(test_sandboxes_at_once),
		ON_BOTH(test_return_of_the_dead),
		ON_BOTH(test_money),
		ON_BOTH(test_rounding),
		ON_BOTH(test_prices_with_dates),
		ON_BOTH(test_tokens),
		ON_BOTH(test_tokens_before_they_are_spent),
		ON_BOTH(test_no_tokens_left),
		ON_BOTH(test_large_numbers),
		ON_BOTH(test_periods),
		ON_BOTH(test_clock_set_back),
		ON_BOTH(test_anchors),
		ON_BOTH(test_anchors_that_were_changed),
		ON_BOTH(test_report),
		ON_BOTH(test_a_later_version),
		ON_BOTH(test_faults),
		ON_SQLITE(test_no_room),
		ON_SQLITE(test_places),
	};

	return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
